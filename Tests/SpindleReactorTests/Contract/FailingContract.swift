// SPDX-License-Identifier: Apache-2.0

import SpindleCore
import SpindleSimulation
import Testing

@testable import SpindleReactor

extension Contract {
    @Suite("errors in user code") struct Failing {
        @Test(
            "C8: an error in dataReceived drops that connection and its unsent bytes, and no other",
            arguments: DriverKind.allCases
        )
        func dataReceived(kind: DriverKind) throws {
            try withBench(kind) { bench in
                let address = try bench.listen { proto, callback in
                    guard callback == .data else { return }
                    proto.transport.write("never seen")
                    if proto.received == [UInt8(ascii: "!")] { throw Planned(callback: callback) }
                }
                let clients = try (0..<2).map { _ in try bench.connect(to: address) }
                bench.turn("they stand") { bench.protocols.count == 2 }
                clients[0].send("!")
                bench.turn("it is over") { clients[0].isOver && bench.protocols.contains { $0.isLost } }
                #expect(clients[0].received.isEmpty)
                #expect(bench.log.count(containing: "planned in data") == 1)
                let record = try #require(bench.log.records.first { $0.message.contains("planned") })
                #expect(record.connection != nil && record.peer == clients[0].localAddress && record.level == .error)
                clients[1].send("ok")
                bench.turn("the other goes on") { clients[1].text == "never seen" }
                #expect(bench.counter(.failedCallbacks) == 1)
            }
        }

        @Test("C8: unsent bytes that wait for the kernel are dropped, too", arguments: DriverKind.allCases)
        func queuedBytes(kind: DriverKind) throws {
            try withBench(kind) {
                $0.hasSmallBuffers = true
            } _: { bench in
                let (client, proto) = try bench.pair { proto, callback in
                    guard callback == .data else { return }
                    proto.transport.write([UInt8](repeating: 1, count: 200 << 10))
                    throw Planned(callback: callback)
                }
                client.send("x")
                bench.turn("the end came") { proto.isLost && client.isOver }
                #expect(client.received.count < 200 << 10)
                #expect(bench.counter(.bufferedBytes) == 0)
            }
        }

        @Test(
            "C9: an error in connectionMade drops the connection; the rest of the accept batch is served",
            arguments: DriverKind.allCases
        )
        func connectionMade(kind: DriverKind) throws {
            try withBench(kind) { bench in
                let address = try bench.listen { proto, callback in
                    if callback == .made, proto.transport.connectionNumber == 1 { throw Planned(callback: callback) }
                }
                let clients = try (0..<3).map { _ in try bench.connect(to: address) }
                bench.turn("one is over") { clients.count { $0.isOver } == 1 && bench.protocols.contains { $0.isLost } }
                bench.turn("the others stand") { bench.protocols.count == 3 }
                let failed = try #require(bench.protocols.first { $0.isLost })
                #expect(failed.reasonText == "a callback threw planned in made")
                #expect(failed.callbacks == [.made, .lost])
            }
        }

        @Test("C10: an error in buildProtocol closes the socket at once and is logged", arguments: DriverKind.allCases)
        func buildProtocol(kind: DriverKind) throws {
            try withBench(kind) { bench in
                var count = 0
                let address = try bench.listen { _, callback in
                    guard callback == .build else { return }
                    count += 1
                    if count == 1 { throw Planned(callback: callback) }
                }
                let clients = try (0..<3).map { _ in try bench.connect(to: address) }
                bench.turn("one is over") { clients.count { $0.isOver } == 1 }
                bench.turn("two are served") { bench.protocols.count == 2 }
                #expect(bench.log.count(containing: "planned in build") == 1)
            }
        }

        @Test(
            "C11: an error in connectionLost, a timer, a job or a repeating timer is logged, and the loop goes on",
            arguments: DriverKind.allCases
        )
        func elsewhere(kind: DriverKind) throws {
            try withBench(kind) { bench in
                let address = try bench.listen { _, callback in
                    if callback == .lost { throw Planned(callback: callback) }
                }
                let clients = try (0..<2).map { _ in try bench.connect(to: address) }
                bench.turn("they stand") { bench.protocols.count == 2 }
                for client in clients { client.close() }
                bench.turn("both ended") { bench.protocols.allSatisfy(\.isLost) }
                #expect(bench.log.count(containing: "connectionLost threw planned in lost") == 2)

                var ran: [String] = []
                bench.reactor.callLater(.zero) { throw Planned(callback: .made) }
                bench.reactor.callLater(.zero) { ran.append("timer") }
                bench.reactor.callSoon { throw Planned(callback: .data) }
                bench.reactor.callSoon { ran.append("job") }
                bench.turn("the next ones ran") { ran.count == 2 }
                #expect(bench.log.count(containing: "a timer threw planned in made") == 1)
                #expect(bench.log.count(containing: "a job threw planned in data") == 1)
            }
        }

        @Test(
            "C12: an error in any other callback drops the connection with that error",
            arguments: DriverKind.allCases,
            [Callback.readEnd, .writeEnd, .highWatermark, .lowWatermark, .drained]
        )
        func otherCallbacks(kind: DriverKind, failing: Callback) throws {
            try withBench(kind) { options in
                options.hasSmallBuffers = true
                options.configuration.writeLowWatermarkBytes = 8 << 10
                options.configuration.writeHighWatermarkBytes = 32 << 10
                options.configuration.writeLimitBytes = 1 << 20
            } _: { bench in
                let (client, proto) = try bench.pair { proto, callback in
                    if callback == .data { proto.transport.write([UInt8](repeating: 1, count: 100 << 10)) }
                    if callback == failing { throw Planned(callback: callback) }
                }
                switch failing {
                case .readEnd: client.shutdownWrites()
                case .writeEnd: proto.transport.loseWriteConnection()
                default: client.send("x")
                }
                bench.turn("the end came") { proto.isLost && client.isOver }
                #expect(proto.reasonText == "a callback threw planned in \(failing.rawValue)")
                #expect(bench.log.count(containing: "planned in \(failing.rawValue)") == 1)
            }
        }

        @Test("C12: an error in idleTimeoutExpired drops the connection with that error")
        func idle() throws {
            try withBench(.simulated) { bench in
                let (client, proto) = try bench.pair { _, callback in
                    if callback == .idle { throw Planned(callback: callback) }
                }
                proto.transport.setIdleTimeout(.seconds(5))
                bench.advance(by: .seconds(6))
                bench.turn("the end came") { proto.isLost && client.isOver }
                #expect(proto.reasonText == "a callback threw planned in idle")
            }
        }

        @Test(
            "a send that fails with an error that reading survives leaves no hole: that is how the connection ends",
            arguments: DriverKind.allCases.filter { !$0.isEpoll },
            [Errno.noBufferSpace, .notPermitted]
        )
        func failedSend(kind: DriverKind, errno: Errno) throws {
            try withBench(kind) { bench in
                let (client, proto) = try bench.pair { proto, callback in
                    if callback == .data { proto.transport.write("answer \(proto.pieces.count)") }
                }
                client.send("x")
                bench.turn("an answer came") { client.text == "answer 1" }
                bench.network?.failNextSends(with: [errno])
                client.send("y")
                bench.turn("it is over") { proto.isLost && client.isOver }
                #expect(client.text == "answer 1", "nothing may follow what was lost")
                #expect(proto.reasonText.contains("\(errno)"))
            }
        }

        @Test(
            "a failed send while paused, and one of bytes that had to wait, end the connection, too",
            arguments: DriverKind.allCases.filter { !$0.isEpoll },
            [true, false]
        )
        func failedSendElsewhere(kind: DriverKind, paused: Bool) throws {
            try withBench(kind) {
                $0.hasSmallBuffers = true
            } _: { bench in
                let (client, proto) = try bench.pair()
                if paused { proto.transport.pauseProducing() }
                client.readsInput = false
                proto.transport.write([UInt8](repeating: 7, count: 100 << 10))
                bench.turn("output waits") { bench.connection(of: proto).state.flags.contains(.outputBlocked) }
                bench.network?.failNextSends(with: [.noBufferSpace])
                client.readsInput = true
                bench.turn("it is over") { proto.isLost && client.isOver }
                #expect(client.received.count < 100 << 10)
                #expect(proto.reasonText.contains("\(Errno.noBufferSpace)"))
            }
        }

        @Test(
            "a connection that cannot be watched is closed and said; the listener goes on",
            arguments: DriverKind.allCases.filter { !$0.isEpoll }
        )
        func refusedWatch(kind: DriverKind) throws {
            try withBench(kind) { bench in
                let address = try bench.listen()
                bench.network?.failNextWatches(with: [.noMemory])
                let clients = try (0..<3).map { _ in try bench.connect(to: address) }
                bench.turn("one is over, two stand") {
                    clients.count { $0.isOver } == 1 && bench.protocols.count { !$0.isLost } == 2
                }
            }
        }
    }
}
