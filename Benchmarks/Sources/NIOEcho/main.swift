// SPDX-License-Identifier: Apache-2.0
//
// The peer on SwiftNIO, callback style, as an expert would tune it: one loop, one flush per read burst, NODELAY, no
// second read for a short one, a receive buffer that grows to 64 KiB. (One that always has 64 KiB was measured beside
// it: as fast within the noise, and 65,573 B for each idle connection instead of 4,180.)
//
// usage: NIOEcho [PORT]      prints `listening on 127.0.0.1:PORT`

import Glibc
import NIOCore
import NIOPosix

final class EchoHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    func channelRead(context: ChannelHandlerContext, data: NIOAny) { context.write(data, promise: nil) }
    func channelReadComplete(context: ChannelHandlerContext) { context.flush() }
    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}

let port = CommandLine.arguments.dropFirst().first.flatMap { Int($0) } ?? 0
let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
let server = try await ServerBootstrap(group: group)
    .serverChannelOption(ChannelOptions.backlog, value: 4096)
    .serverChannelOption(ChannelOptions.socketOption(.so_reuseaddr), value: 1)
    .serverChannelOption(ChannelOptions.maxMessagesPerRead, value: 256)
    .childChannelOption(ChannelOptions.tcpOption(.tcp_nodelay), value: 1)
    .childChannelOption(ChannelOptions.maxMessagesPerRead, value: 1)
    .childChannelOption(
        ChannelOptions.recvAllocator,
        value: AdaptiveRecvByteBufferAllocator(minimum: 1024, initial: 2048, maximum: 65536)
    )
    .childChannelInitializer { channel in
        channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(EchoHandler()) }
    }
    .bind(host: "127.0.0.1", port: port).get()
print("listening on 127.0.0.1:\(server.localAddress?.port ?? 0)")
// Output to a pipe is buffered otherwise, and the harness waits for the line.
fflushAll()
try await server.closeFuture.get()

func fflushAll() { fflush(nil) }
