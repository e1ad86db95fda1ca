// SPDX-License-Identifier: Apache-2.0
//
// The peer on SwiftNIO, async style: NIOAsyncChannel, a child task per connection, otherwise tuned as NIOEcho is.
//
// usage: NIOAsyncEcho [PORT]      prints `listening on 127.0.0.1:PORT`

import Glibc
import NIOCore
import NIOPosix

let port = CommandLine.arguments.dropFirst().first.flatMap { Int($0) } ?? 0
let server = try await ServerBootstrap(group: MultiThreadedEventLoopGroup(numberOfThreads: 1))
    .serverChannelOption(ChannelOptions.backlog, value: 4096)
    .serverChannelOption(ChannelOptions.socketOption(.so_reuseaddr), value: 1)
    .serverChannelOption(ChannelOptions.maxMessagesPerRead, value: 256)
    .childChannelOption(ChannelOptions.tcpOption(.tcp_nodelay), value: 1)
    .childChannelOption(ChannelOptions.maxMessagesPerRead, value: 1)
    .childChannelOption(
        ChannelOptions.recvAllocator,
        value: AdaptiveRecvByteBufferAllocator(minimum: 1024, initial: 2048, maximum: 65536)
    )
    .bind(host: "127.0.0.1", port: port) { channel in
        channel.eventLoop.makeCompletedFuture {
            try NIOAsyncChannel<ByteBuffer, ByteBuffer>(wrappingChannelSynchronously: channel)
        }
    }
print("listening on 127.0.0.1:\(server.channel.localAddress?.port ?? 0)")
// Output to a pipe is buffered otherwise, and the harness waits for the line.
fflush(nil)
try await withThrowingDiscardingTaskGroup { group in
    try await server.executeThenClose { connections in
        for try await connection in connections {
            group.addTask {
                try? await connection.executeThenClose { inbound, outbound in
                    for try await bytes in inbound { try await outbound.write(bytes) }
                }
            }
        }
    }
}
