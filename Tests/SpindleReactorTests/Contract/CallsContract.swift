// SPDX-License-Identifier: Apache-2.0

import SpindleCore
import SpindleSimulation
import Testing

@testable import SpindleReactor

/// What a protocol may call on its transport.
enum TransportCall: String, CaseIterable, Sendable {
    case write, writeChunk, loseConnection, abortConnection, loseWriteConnection, pauseProducing, resumeProducing
    case setIdleTimeout, options, everything

    func make(on transport: any StreamTransport) {
        switch self {
        case .write: transport.write("answer")
        case .writeChunk: transport.write([ByteChunk("ans"), ByteChunk("wer")])
        case .loseConnection: transport.loseConnection()
        case .abortConnection: transport.abortConnection()
        case .loseWriteConnection: transport.loseWriteConnection()
        case .pauseProducing: transport.pauseProducing()
        case .resumeProducing: transport.resumeProducing()
        case .setIdleTimeout: transport.setIdleTimeout(.seconds(1000))
        case .options:
            transport.noDelay.toggle()
            transport.keepAlive.toggle()
        case .everything: for call in TransportCall.allCases where call != .everything { call.make(on: transport) }
        }
    }
}

extension Contract {
    /// Every call from every callback does what the documentation says, and nothing else breaks.
    @Suite("calls") struct Calls {
        /// Makes the callback come. Whatever it takes is small, so that all of it fits into a few turns.
        private func provoke(
            _ callback: Callback,
            _ bench: ContractBench,
            _ client: ContractClient,
            _ proto: TestProtocol
        ) {
            switch callback {
            case .build, .made: break
            case .data: client.send("x")
            case .readEnd: client.shutdownWrites()
            case .writeEnd: proto.transport.loseWriteConnection()
            case .highWatermark, .lowWatermark, .drained:
                client.readsInput = false
                proto.transport.write(pattern(60_000))
                bench.turn("the high watermark") { proto.count(.highWatermark) == 1 }
                client.readsInput = callback != .highWatermark
            case .idle:
                proto.transport.setIdleTimeout(.seconds(1))
                bench.advance(by: .seconds(2))
            case .lost: client.reset()
            }
            bench.turn("\(callback)") { callback == .build || proto.callbacks.contains(callback) || proto.isLost }
        }

        @Test(
            "every transport call may be made from every callback",
            arguments: TransportCall.allCases,
            Callback.allCases
        )
        func matrix(call: TransportCall, callback: Callback) throws {
            for kind in [DriverKind.epoll, .simulated] where !(kind.isEpoll && callback == .idle) {
                try withBench(kind) {
                    $0.hasSmallBuffers = true
                    $0.configuration.writeLowWatermarkBytes = 1000
                    $0.configuration.writeHighWatermarkBytes = 20_000
                } _: { bench in
                    var wasWritable = false
                    var calls = 0
                    let (client, proto) = try bench.pair { proto, now in
                        proto.overridesDefaults = true
                        guard now == callback, calls == 0 else { return }
                        calls += 1
                        wasWritable = proto.transport.isWritable
                        call.make(on: proto.transport)
                        _ = (
                            proto.transport.peerAddress, proto.transport.localAddress, proto.transport.bufferedByteCount
                        )
                    }
                    provoke(callback, bench, client, proto)
                    client.readsInput = true
                    bench.turn()
                    #expect(calls == 1)
                    check(call, callback, wasWritable, bench, client, proto)
                    client.reset()
                    bench.turn("the end came") { proto.isLost || proto.count(.made) == 0 }
                }
            }
        }

        private func check(
            _ call: TransportCall,
            _ callback: Callback,
            _ wasWritable: Bool,
            _ bench: ContractBench,
            _ client: ContractClient,
            _ proto: TestProtocol
        ) {
            switch call {
            case .write, .writeChunk:
                let arrived = bench.kind.isEpoll || !client.isOver || client.error == nil
                if wasWritable {
                    bench.turn("the answer came") { client.received.suffix(6) == Array("answer".utf8)[...] }
                } else if arrived {
                    #expect(client.received.suffix(6) != Array("answer".utf8)[...])
                }
            case .loseConnection where callback != .lost:
                bench.turn("it was closed") { client.isOver }
                #expect(client.error == nil || callback == .build)
                client.close()
                bench.turn("it is over") { bench.reactor.connectionCount == 0 }
                if callback != .build { #expect(proto.reasonText == "done") }
            case .abortConnection, .everything:
                guard callback != .lost else { return }
                bench.turn("it was reset") { client.isOver }
                if callback != .build { #expect(proto.reasonText == "aborted by this side" || call == .everything) }
            case .loseWriteConnection where callback != .lost:
                bench.turn("nothing more comes") { client.isOver }
                #expect(!proto.transport.isWritable)
            case .pauseProducing where proto.transport.isWritable && callback != .readEnd:
                let before = proto.received.count
                client.send("more")
                bench.turn()
                #expect(proto.received.count == before)
                proto.transport.resumeProducing()
                bench.turn("what waited is read") { proto.received.count == before + 4 }
            case .resumeProducing where proto.transport.isWritable && callback != .readEnd:
                let before = proto.received.count
                client.send("more")
                bench.turn("reading goes on") { proto.received.count == before + 4 }
            default: break
            }
        }
    }
}
