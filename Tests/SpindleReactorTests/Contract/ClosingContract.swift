// SPDX-License-Identifier: Apache-2.0

import SpindleCore
import Testing

@testable import SpindleReactor

extension Contract {
    @Suite("closing") struct Closing {
        @Test(
            "C17: loseConnection sends all that was written, drops what is written later, and reads no more",
            arguments: DriverKind.allCases
        )
        func loseConnection(kind: DriverKind) throws {
            try withBench(kind) { bench in
                let message = pattern(kind.isEpoll ? 8 << 20 : 1 << 20)
                let (client, proto) = try bench.pair { proto, callback in
                    guard callback == .data else { return }
                    proto.transport.write(message)
                    proto.transport.loseConnection()
                    proto.transport.loseConnection()
                    #expect(!proto.transport.isWritable && !proto.isLost)
                    proto.transport.write("late")
                    proto.transport.write(ByteChunk("late"))
                }
                client.readsInput = false
                client.send("x")
                bench.turn("it was written") { proto.count(.data) == 1 }
                client.send("not read any more")
                proto.transport.write("late, too")
                client.readsInput = true
                bench.turn("all came") { client.isOver && proto.isLost }
                #expect(client.error == nil && client.received == message)
                #expect(proto.received.count == 1 && proto.reasonText == "done")
                #expect(bench.counter(.droppedWrites) == 3)
                #expect(proto.count(.highWatermark) + proto.count(.drained) + proto.count(.readEnd) <= 1)
            }
        }

        @Test("C17: loseConnection from outside of a callback ends in a later turn", arguments: DriverKind.allCases)
        func loseFromOutside(kind: DriverKind) throws {
            try withBench(kind) { bench in
                let (client, proto) = try bench.pair()
                proto.transport.write("bye")
                proto.transport.loseConnection()
                #expect(!proto.isLost)
                bench.turn("the end came") { proto.isLost && client.isAtEnd }
                #expect(client.text == "bye" && proto.reasonText == "done")
            }
        }

        @Test("a connection that was closed is let go of before its reactor waits", arguments: DriverKind.allCases)
        func letGo(kind: DriverKind) throws {
            final class Aborting: StreamProtocol {
                let transport: any StreamTransport
                init(_ transport: any StreamTransport) { self.transport = transport }
                func dataReceived(_ bytes: Span<UInt8>) { transport.abortConnection() }
            }
            final class Sighting { weak var transport: (any StreamTransport)? }
            try withBench(kind) { bench in
                let seen = Sighting()
                let address = try bench.listen(
                    factory: ClosureFactory {
                        seen.transport = $0
                        return Aborting($0)
                    }
                )
                let client = try bench.connect(to: address)
                bench.turn("a connection stands") { seen.transport != nil }
                client.send("x")
                bench.turn("it was closed") { bench.counter(.closed) == 1 }
                #expect(seen.transport == nil)
            }
        }

        @Test(
            "C18: what the peer sends after loseConnection costs it no byte of the answer",
            arguments: DriverKind.allCases,
            [10, 60_000, 400_000]
        )
        func lingering(kind: DriverKind, extraCount: Int) throws {
            try withBench(kind) {
                $0.hasSmallBuffers = true
            } _: { bench in
                let message = pattern(200_000)
                let (client, proto) = try bench.pair { proto, callback in
                    guard callback == .data else { return }
                    proto.transport.write(message)
                    proto.transport.loseConnection()
                }
                client.send("x")
                bench.turn("it was written") { proto.count(.data) == 1 }
                client.send([UInt8](repeating: 1, count: extraCount))
                bench.turn("all came") { client.isOver && proto.isLost }
                #expect(client.error == nil)
                #expect(client.received == message)
                client.close()
                bench.turn("the socket is closed") { bench.reactor.table.count == 0 }
            }
        }

        @Test(
            "C18: a lingering peer that sends more than a read budget at once keeps the tail of the answer",
            arguments: DriverKind.allCases
        )
        func lingeringBurst(kind: DriverKind) throws {
            try withBench(kind) { options in
                options.configuration.readBudgetBytes = 1 << 10
                options.configuration.receiveBufferBytes = 1 << 10
            } _: { bench in
                let message = pattern(100_000)
                let (client, proto) = try bench.pair { proto, callback in
                    guard callback == .data else { return }
                    proto.transport.write(message)
                    proto.transport.loseConnection()
                }
                client.readsInput = false
                client.send([UInt8](repeating: 1, count: 30_000))
                bench.turn("the protocol is done") { proto.isLost }
                bench.turn(times: 40)
                client.readsInput = true
                bench.turn("all came") { client.isOver }
                #expect(client.error == nil && client.received == message)
            }
        }

        @Test("C18: lingering ends after its time, though the peer stays")
        func lingerTimeout() throws {
            try withBench(.simulated) { bench in
                let (client, proto) = try bench.pair { if $1 == .data { $0.transport.loseConnection() } }
                client.send("x")
                bench.turn("the protocol is done") { proto.isLost }
                bench.turn()
                #expect(bench.reactor.table.count == 1, "the socket waits for the peer's end")
                bench.advance(by: .milliseconds(900))
                bench.turn()
                #expect(bench.reactor.table.count == 1)
                bench.advance(by: .milliseconds(200))
                bench.turn("the socket is closed") { bench.reactor.table.count == 0 }
                #expect(client.isAtEnd && client.error == nil)
            }
        }

        @Test("C19: a peer that does not read is cut off at the close timeout")
        func closeTimeout() throws {
            try withBench(.simulated) {
                $0.hasSmallBuffers = true
            } _: { bench in
                let (client, proto) = try bench.pair { proto, callback in
                    guard callback == .data else { return }
                    proto.transport.write([UInt8](repeating: 1, count: 100_000))
                    proto.transport.loseConnection()
                }
                client.readsInput = false
                client.send("x")
                bench.turn("it was written") { proto.count(.data) == 1 }
                bench.advance(by: .seconds(29))
                bench.turn()
                #expect(!proto.isLost)
                bench.advance(by: .seconds(2))
                bench.turn("the end came") { proto.isLost }
                #expect(proto.reasonText == "timed out (close)")
                client.readsInput = true
                bench.turn("the peer sees a reset") { client.error == .connectionReset }
            }
        }

        @Test(
            "a peer that takes none of the waiting bytes is cut off at the write progress timeout; any progress counts"
        )
        func writeProgress() throws {
            try withBench(.simulated) {
                $0.hasSmallBuffers = true
            } _: { bench in
                let (client, proto) = try bench.pair { proto, callback in
                    if callback == .data { proto.transport.write([UInt8](repeating: 1, count: 100_000)) }
                }
                client.readsInput = false
                client.send("x")
                bench.turn("it was written") { proto.count(.data) == 1 }
                for _ in 0..<4 {
                    bench.advance(by: .seconds(100))
                    client.readsInput = true
                    bench.turn(times: 1)
                    client.readsInput = false
                    bench.turn(times: 2)
                    #expect(!proto.isLost, "100 s after the last progress")
                }
                bench.advance(by: .seconds(121))
                bench.turn("the end came") { proto.isLost }
                #expect(proto.reasonText == "timed out (writeProgress)")
            }
        }

        @Test(
            "C20: abortConnection resets in a later turn, with no data before the end, however often it is called",
            arguments: DriverKind.allCases
        )
        func abort(kind: DriverKind) throws {
            try withBench(kind) { options in
                options.hasSmallBuffers = true
                options.configuration.receiveBufferBytes = 4
            } _: { bench in
                let (client, proto) = try bench.pair { proto, callback in
                    guard callback == .data else { return }
                    proto.transport.write([UInt8](repeating: 1, count: 100_000))
                    proto.transport.abortConnection()
                    #expect(!proto.isLost, "never re-entrant")
                    proto.transport.abortConnection()
                    proto.transport.loseConnection()
                    proto.transport.loseWriteConnection()
                    proto.transport.resumeProducing()
                }
                client.send("0123456789")
                bench.turn("the end came") { proto.isLost && client.isOver }
                #expect(proto.reasonText == "aborted by this side")
                #expect(proto.callbacks == [.made, .data, .lost] && proto.received.count == 4)
                #expect(client.error == .connectionReset && client.received.count < 100_000)
                proto.transport.abortConnection()
                proto.transport.loseConnection()
                bench.turn()
                #expect(proto.count(.lost) == 1)
            }
        }

        @Test("C20: abortConnection of another connection spares the rest of its batch", arguments: DriverKind.allCases)
        func abortOthers(kind: DriverKind) throws {
            try withBench(kind) { bench in
                let address = try bench.listen { proto, callback in
                    guard callback == .data else { return }
                    for other in bench.protocols where other !== proto { other.transport.abortConnection() }
                }
                let clients = try (0..<4).map { _ in try bench.connect(to: address) }
                bench.turn("they stand") { bench.protocols.count == 4 }
                for client in clients { client.send("x") }
                bench.turn("three ended") { bench.protocols.count { $0.isLost } == 3 }
                bench.turn()
                #expect(bench.protocols.reduce(0) { $0 + $1.count(.data) } == 1)
                #expect(bench.protocols.count { $0.isLost } == 3)
            }
        }

        @Test("C22: a peer that half-closes gets its answer, and then the end", arguments: DriverKind.allCases)
        func halfClose(kind: DriverKind) throws {
            try withBench(kind) {
                $0.hasSmallBuffers = true
            } _: { bench in
                let message = pattern(100_000)
                let (client, proto) = try bench.pair { if $1 == .data { $0.transport.write(message) } }
                client.send("x")
                client.shutdownWrites()
                bench.turn("all came") { client.isOver && proto.isLost }
                #expect(client.received == message && client.error == nil)
                #expect(proto.reasonText == "done" && proto.count(.readEnd) == 1)
            }
        }

        @Test("C22: a protocol that overrides readConnectionLost goes on writing", arguments: DriverKind.allCases)
        func halfOpen(kind: DriverKind) throws {
            try withBench(kind) { bench in
                let (client, proto) = try bench.pair { if $1 == .build { $0.overridesDefaults = true } }
                client.shutdownWrites()
                bench.turn("the half close") { proto.count(.readEnd) == 1 }
                for round in 1...3 {
                    proto.transport.write("still here ")
                    bench.turn("it came") { client.text == String(repeating: "still here ", count: round) }
                }
                #expect(!proto.isLost && proto.transport.isWritable)
                proto.transport.loseConnection()
                bench.turn("the end came") { proto.isLost && client.isAtEnd }
                #expect(proto.count(.readEnd) == 1)
            }
        }

        @Test(
            "C23: loseWriteConnection flushes, then ends writing alone; reading goes on",
            arguments: DriverKind.allCases
        )
        func loseWrite(kind: DriverKind) throws {
            try withBench(kind) {
                $0.hasSmallBuffers = true
            } _: { bench in
                let message = pattern(100_000)
                let (client, proto) = try bench.pair { proto, callback in
                    guard callback == .data, proto.received.count == 1 else { return }
                    proto.transport.write(message)
                    proto.transport.loseWriteConnection()
                    proto.transport.loseWriteConnection()
                    proto.transport.write("late")
                    #expect(!proto.transport.isWritable)
                }
                client.send("x")
                bench.turn("all came") { client.isAtEnd && proto.count(.writeEnd) == 1 }
                #expect(client.received == message)
                client.send("more")
                bench.turn("reading goes on") { proto.received.count == 5 }
                #expect(!proto.isLost)
                client.shutdownWrites()
                bench.turn("the end came") { proto.isLost }
                #expect(proto.reasonText == "done" && proto.count(.writeEnd) == 1)
            }
        }

        @Test("C23: loseConnection within writeConnectionLost works", arguments: DriverKind.allCases)
        func loseWithinWriteEnd(kind: DriverKind) throws {
            try withBench(kind) { bench in
                let (client, proto) = try bench.pair { if $1 == .writeEnd { $0.transport.loseConnection() } }
                proto.transport.loseWriteConnection()
                bench.turn("the end came") { proto.isLost && client.isAtEnd }
                #expect(proto.callbacks == [.made, .writeEnd, .lost] && proto.reasonText == "done")
            }
        }

        @Test(
            "C23: both halves closed by halves is an orderly end, in either order",
            arguments: DriverKind.allCases,
            [true, false]
        )
        func bothHalves(kind: DriverKind, peerFirst: Bool) throws {
            try withBench(kind) { bench in
                let (client, proto) = try bench.pair { if $1 == .build { $0.overridesDefaults = true } }
                if peerFirst {
                    client.shutdownWrites()
                    bench.turn("its half") { proto.count(.readEnd) == 1 }
                    proto.transport.loseWriteConnection()
                } else {
                    proto.transport.loseWriteConnection()
                    bench.turn("our half") { client.isAtEnd }
                    client.shutdownWrites()
                }
                bench.turn("the end came") { proto.isLost }
                #expect(proto.count(.readEnd) == 1 && proto.count(.writeEnd) == 1 && proto.reasonText == "done")
            }
        }

        @Test(
            "closing many connections at once is budgeted; others are served meanwhile",
            arguments: DriverKind.allCases
        )
        func manyCloses(kind: DriverKind) throws {
            let count = kind.isEpoll ? 200 : 2000
            try withBench(kind) {
                $0.configuration.closeBudget = 32
            } _: { bench in
                let address = try bench.listen { if $1 == .data { $0.transport.write("pong") } }
                let clients = try (0..<count).map { _ in try bench.connect(to: address) }
                bench.turn("they stand") { bench.protocols.count == count }
                let survivor = try bench.connect(to: address)
                bench.turn("it stands") { bench.protocols.count == count + 1 }
                for client in clients { client.close() }
                survivor.send("ping")
                var turns = 0
                while bench.protocols.count(where: \.isLost) < count, turns < count {
                    let before = bench.protocols.count(where: \.isLost)
                    bench.turnReactor()
                    turns += 1
                    #expect(bench.protocols.count(where: \.isLost) - before <= 32)
                    if turns == 3 + count / 256 {
                        survivor.pump()
                        #expect(survivor.text == "pong", "served long before the last close")
                    }
                }
                #expect(turns >= count / 32)
                #expect(bench.counter(.mostClosesPerTurn) <= 32 && bench.counter(.closeBudgetExhausted) > 0)
            }
        }

        @Test("connectionLost may stop the listener: no callback is entered within it", arguments: DriverKind.allCases)
        func stopInLost(kind: DriverKind) throws {
            try withBench(kind) { bench in
                let address = try bench.listen { if $1 == .lost { bench.reactor.stopListening() } }
                let first = try bench.connect(to: address)
                bench.turn("it stands") { bench.protocols.count == 1 }
                bench.protocols[0].transport.abortConnection()
                _ = try bench.connect(to: address)
                bench.turn("both were served") { bench.protocols.count == 2 && first.isOver }
            }
        }
    }
}
