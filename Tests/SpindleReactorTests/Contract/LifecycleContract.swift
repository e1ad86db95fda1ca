// SPDX-License-Identifier: Apache-2.0

import SpindleCore
import Testing

@testable import SpindleReactor

extension Contract {
    @Suite("lifecycle") struct Lifecycle {
        @Test(
            "C1: connectionMade once, then data, then connectionLost once, nothing after",
            arguments: DriverKind.allCases
        )
        func order(kind: DriverKind) throws {
            try withBench(kind) { bench in
                let (client, proto) = try bench.pair()
                for count in 1...3 {
                    client.send("ping")
                    bench.turn("data came") { proto.received.count == 4 * count }
                }
                client.close()
                bench.turn("the end came") { proto.isLost }
                bench.turn()
                #expect(proto.callbacks.first == .made && proto.callbacks.suffix(2) == [.readEnd, .lost])
                #expect(proto.callbacks.dropFirst().dropLast(2).allSatisfy { $0 == .data })
                #expect(proto.reasonText == "done")
            }
        }

        @Test("C1: the protocol is released after connectionLost", arguments: DriverKind.allCases)
        func released(kind: DriverKind) throws {
            final class Mortal: StreamProtocol {
                let transport: any StreamTransport
                let gone: () -> Void
                init(_ transport: any StreamTransport, gone: @escaping () -> Void) {
                    self.transport = transport
                    self.gone = gone
                }
                func dataReceived(_ bytes: Span<UInt8>) {}
                deinit { gone() }
            }
            try withBench(kind) { bench in
                var goneCount = 0
                let address = try bench.listen(factory: ClosureFactory { Mortal($0) { goneCount += 1 } })
                let client = try bench.connect(to: address)
                bench.turn("it stands") { bench.counter(.liveProtocols) == 1 }
                client.close()
                bench.turn("it is gone") { goneCount == 1 }
            }
        }

        enum Cause: CaseIterable, Sendable {
            case peerCloses, loseConnection, peerResets, abortConnection, callbackThrows, writeLimit, engineStops
        }

        @Test("C2: the reason tells the cause", arguments: DriverKind.allCases, Cause.allCases)
        func reasons(kind: DriverKind, cause: Cause) throws {
            try withBench(kind) { options in
                options.configuration.writeLowWatermarkBytes = 1 << 10
                options.configuration.writeHighWatermarkBytes = 8 << 10
                options.configuration.writeLimitBytes = 64 << 20
                if cause == .writeLimit {
                    options.hasSmallBuffers = true
                    options.configuration.writeLimitBytes = 32 << 10
                }
            } _: { bench in
                let (client, proto) = try bench.pair { proto, callback in
                    guard callback == .data else { return }
                    if cause == .callbackThrows { throw Planned(callback: callback) }
                    proto.transport.write([UInt8](repeating: 7, count: 256 << 10))
                }
                switch cause {
                case .peerCloses: client.close()
                case .loseConnection: proto.transport.loseConnection()
                case .peerResets: client.reset()
                case .abortConnection: proto.transport.abortConnection()
                case .callbackThrows: client.send("x")
                case .writeLimit:
                    client.readsInput = false
                    client.send("x")
                case .engineStops: bench.reactor.endAllConnections()
                }
                bench.turn("the end came") { proto.isLost }
                let expected =
                    switch cause {
                    case .peerCloses, .loseConnection: "done"
                    case .peerResets: "lost: \(Errno.connectionReset)"
                    case .abortConnection: "aborted by this side"
                    case .callbackThrows: "a callback threw planned in data"
                    case .writeLimit: "the limit on unsent bytes was exceeded"
                    case .engineStops: "the engine stopped"
                    }
                #expect(proto.reasonText == expected)
            }
        }

        @Test(
            "C2: a send that meets the reset first does not turn it into an orderly end",
            arguments: DriverKind.allCases
        )
        func resetMetBySend(kind: DriverKind) throws {
            try withBench(kind) { bench in
                let (client, proto) = try bench.pair { proto, callback in
                    if callback == .data { proto.transport.write("reply") }
                }
                client.send("last words")
                client.reset()
                // Written before the reactor has seen the reset: this send gets ECONNRESET, and takes it away.
                proto.transport.write("unsolicited")
                bench.turn("the end came") { proto.isLost }
                #expect(proto.reasonText == "lost: \(Errno.connectionReset)")
                #expect(String(decoding: proto.received, as: UTF8.self) == "last words")
            }
        }

        @Test("C2: a reset between receiving and answering is no orderly end", arguments: DriverKind.allCases)
        func resetMetByReply(kind: DriverKind) throws {
            try withBench(kind) { bench in
                var client: ContractClient?
                let pair = try bench.pair { proto, callback in
                    guard callback == .data else { return }
                    client?.reset()
                    proto.transport.write("reply")
                }
                client = pair.client
                pair.client.send("x")
                bench.turn("the end came") { pair.proto.isLost }
                #expect(pair.proto.reasonText.hasPrefix("lost: "))
            }
        }

        @Test("C2: a peer that nobody can reach any more is noticed while paused", arguments: DriverKind.allCases)
        func resetMetBySendWhilePaused(kind: DriverKind) throws {
            try withBench(kind) { bench in
                let (client, proto) = try bench.pair()
                client.reset()
                proto.transport.write("unsolicited")
                proto.transport.pauseProducing()
                bench.turn("the end came") { proto.isLost }
                #expect(proto.reasonText == "lost: \(Errno.connectionReset)")
            }
        }

        @Test("C4: a turn reads a connection's budget at most, and the rest later", arguments: DriverKind.allCases)
        func readBudget(kind: DriverKind) throws {
            try withBench(kind) { options in
                options.configuration.receiveBufferBytes = 1 << 10
                options.configuration.readBudgetBytes = 2 << 10
            } _: { bench in
                let address = try bench.listen()
                let clients = try (0..<3).map { _ in try bench.connect(to: address) }
                bench.turn("they stand") { bench.protocols.count == 3 }
                let message = (0..<20_000).map { UInt8(truncatingIfNeeded: $0 &* 7) }
                for client in clients { client.send(message) }
                for _ in 0..<200 where !bench.protocols.allSatisfy({ $0.received.count == message.count }) {
                    let before = bench.protocols.map(\.received.count)
                    bench.turnReactor()
                    let gains = zip(before, bench.protocols).map { $1.received.count - $0 }
                    #expect(gains.allSatisfy { $0 <= 2 << 10 }, "\(gains)")
                    // Nobody starves: who has bytes left gets some in every turn.
                    let starved = zip(gains, bench.protocols).contains { $0 == 0 && $1.received.count < message.count }
                    #expect(!starved || gains.allSatisfy { $0 == 0 })
                }
                #expect(bench.protocols.allSatisfy { $0.received == message })
                #expect(bench.protocols.allSatisfy { $0.pieces.allSatisfy { $0 <= 1 << 10 } })
                #expect(bench.counter(.readBudgetExhausted) > 0)
            }
        }

        @Test("C5: data that came before a reset is delivered before connectionLost", arguments: DriverKind.allCases)
        func dataBeforeReset(kind: DriverKind) throws {
            try withBench(kind) { bench in
                let (client, proto) = try bench.pair()
                client.send("the last words")
                client.reset()
                bench.turn("the end came") { proto.isLost }
                #expect(String(decoding: proto.received, as: UTF8.self) == "the last words")
                #expect(proto.reasonText == "lost: \(Errno.connectionReset)")
                #expect(proto.count(.readEnd) == 0)
            }
        }

        @Test(
            "C5: data and a close that arrive together are both read after one short read",
            arguments: DriverKind.allCases
        )
        func dataBeforeClose(kind: DriverKind) throws {
            try withBench(kind) { bench in
                let (client, proto) = try bench.pair()
                // One event with IN and RDHUP: the short read of 3 bytes is not the end of what there is.
                client.send("end")
                client.close()
                bench.turn("the end came") { proto.isLost }
                #expect(proto.callbacks == [.made, .data, .readEnd, .lost])
                #expect(proto.reasonText == "done")
            }
        }

        @Test(
            "C6: buildProtocol's nil closes the socket at once, and the next is served",
            arguments: DriverKind.allCases
        )
        func refused(kind: DriverKind) throws {
            try withBench(kind) { bench in
                var asked = 0
                let address = try bench.listen(
                    factory: ClosureFactory { transport in
                        asked += 1
                        // What a refused connection wrote goes nowhere, and no count keeps it.
                        transport.write([UInt8](repeating: 1, count: 8 << 20))
                        return asked % 2 == 1 ? nil : try bench.makeProtocol(transport)
                    }
                )
                let clients = try (0..<4).map { _ in try bench.connect(to: address) }
                bench.turn("two are refused") { clients.count { $0.isOver } == 2 }
                bench.turn("two are served") { bench.protocols.count == 2 }
                #expect(bench.counter(.refused) == 2)
                bench.turn("output of the served went out") { bench.counter(.bufferedBytes) == 0 }
            }
        }

        @Test("C6b: both addresses stay readable in and after connectionLost", arguments: DriverKind.allCases)
        func addresses(kind: DriverKind) throws {
            try withBench(kind) { bench in
                var seen: [SocketAddress] = []
                let address = try bench.listen { proto, callback in
                    guard callback == .lost else { return }
                    seen = [proto.transport.peerAddress, proto.transport.localAddress]
                }
                let client = try bench.connect(to: address)
                bench.turn("it stands") { bench.protocols.count == 1 }
                client.reset()
                bench.turn("the end came") { bench.protocols[0].isLost }
                #expect(seen == [client.localAddress, address])
                bench.turn()
                #expect(bench.protocols[0].transport.peerAddress == client.localAddress)
                #expect(bench.protocols[0].transport.localAddress == address)
            }
        }

        @Test(
            "C6b: the local address of a wildcard listener's connection is the one that was dialled",
            arguments: DriverKind.allCases
        )
        func wildcardAddress(kind: DriverKind) throws {
            try withBench(kind) { bench in
                let address = try bench.listen(
                    factory: ClosureFactory { try bench.makeProtocol($0) },
                    at: .anyIPv4(port: 0)
                )
                let client = try bench.connect(to: .loopback(port: address.port))
                bench.turn("it stands") { bench.protocols.count == 1 }
                client.close()
                bench.turn("the end came") { bench.protocols[0].isLost }
                #expect(bench.protocols[0].transport.localAddress == .loopback(port: address.port))
            }
        }

        @Test(
            "C7: a listener that is closed by buildProtocol serves what waits, one callback at a time",
            arguments: DriverKind.allCases
        )
        func stopInBuild(kind: DriverKind) throws {
            try withBench(kind) { bench in
                let address = try bench.listen { proto, callback in
                    if callback == .build {
                        proto.transport.write("for \(proto.transport.connectionNumber)")
                        bench.reactor.stopListening()
                    }
                }
                let clients = try (0..<3).map { _ in try bench.connect(to: address) }
                bench.turn("all are served") {
                    bench.protocols.count == 3 && clients.allSatisfy { !$0.received.isEmpty }
                }
                #expect(clients.map(\.text).sorted() == ["for 1", "for 2", "for 3"])
                bench.turn()
                #expect(bench.protocols.allSatisfy { !$0.isLost })
                #expect(bench.reactor.acceptors.allSatisfy { $0 == nil })
            }
        }

        @Test("C7: a listener that is closed by dataReceived mixes nobody's bytes", arguments: DriverKind.allCases)
        func stopInData(kind: DriverKind) throws {
            try withBench(kind) { bench in
                let address = try bench.listen { proto, callback in
                    switch callback {
                    case .made: proto.transport.write("welcome")
                    case .data:
                        proto.transport.write("reply")
                        bench.reactor.stopListening()
                    default: break
                    }
                }
                let first = try bench.connect(to: address)
                bench.turn("it stands") { first.text == "welcome" }
                first.send("x")
                let second = try bench.connect(to: address)
                bench.turn("both got theirs") { first.text == "welcomereply" && second.text == "welcome" }
                #expect(second.text == "welcome")
            }
        }
    }
}
