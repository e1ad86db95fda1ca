// SPDX-License-Identifier: Apache-2.0

import Glibc
import SpindleCore
import Testing

@testable import SpindleReactor

extension Contract {
    @Suite("reading") struct Reading {
        @Test(
            "C24: pauseProducing stops reading, from connectionMade on; what came is delivered first on resume",
            arguments: DriverKind.allCases
        )
        func pause(kind: DriverKind) throws {
            try withBench(kind) { bench in
                let (client, proto) = try bench.pair { if $1 == .made { $0.transport.pauseProducing() } }
                client.send("waiting")
                client.shutdownWrites()
                bench.turn()
                #expect(proto.callbacks == [.made], "neither bytes nor the end are told while paused")
                proto.transport.resumeProducing()
                #expect(proto.callbacks == [.made], "resuming delivers in a later turn")
                bench.turn("all came") { proto.isLost }
                #expect(proto.callbacks == [.made, .data, .readEnd, .lost])
            }
        }

        @Test("C24: bytes that a pause in mid-stream left unread are remembered", arguments: DriverKind.allCases)
        func pauseInMidStream(kind: DriverKind) throws {
            try withBench(kind) {
                $0.configuration.receiveBufferBytes = 16
            } _: { bench in
                let (client, proto) = try bench.pair { if $1 == .data { $0.transport.pauseProducing() } }
                let message = pattern(100)
                client.send(message)
                for round in 1...7 {
                    bench.turn("a piece came") { proto.pieces.count == round }
                    bench.turn(times: 4)
                    #expect(proto.received.count == min(16 * round, 100), "one piece between pauses")
                    proto.transport.resumeProducing()
                }
                #expect(proto.received == message)
                client.send("and the edge still works")
                bench.turn("more came") { proto.received.count > 100 }
            }
        }

        @Test("C24: pause and resume within one callback change nothing", arguments: DriverKind.allCases)
        func pauseAndResume(kind: DriverKind) throws {
            try withBench(kind) {
                $0.configuration.receiveBufferBytes = 8
            } _: { bench in
                let (client, proto) = try bench.pair { proto, _ in
                    proto.transport.pauseProducing()
                    proto.transport.resumeProducing()
                }
                let message = pattern(1000)
                client.send(message)
                bench.turn("all came") { proto.received == message }
            }
        }

        @Test("C24: a reset is noticed while reading is paused", arguments: DriverKind.allCases)
        func resetWhilePaused(kind: DriverKind) throws {
            try withBench(kind) { bench in
                let (client, proto) = try bench.pair { if $1 == .made { $0.transport.pauseProducing() } }
                bench.turn()
                client.reset()
                bench.turn("the end came") { proto.isLost }
                #expect(proto.reasonText == "lost: \(Errno.connectionReset)")
            }
        }

        @Test("C24: a hang-up without an error waits, while paused, until resume", arguments: DriverKind.allCases)
        func hangUpWhilePaused(kind: DriverKind) throws {
            try withBench(kind) { bench in
                let (client, proto) = try bench.pair { proto, callback in
                    guard callback == .made else { return }
                    proto.transport.pauseProducing()
                    proto.transport.loseWriteConnection()
                }
                bench.turn("our half is closed") { client.isAtEnd }
                client.send("the rest")
                client.close()
                bench.turn()
                #expect(proto.callbacks == [.made, .writeEnd])
                proto.transport.resumeProducing()
                bench.turn("the end came") { proto.isLost }
                #expect(proto.callbacks == [.made, .writeEnd, .data, .readEnd, .lost])
                #expect(proto.reasonText == "done")
            }
        }

        @Test("C24: resume after loseConnection and after the end does nothing", arguments: DriverKind.allCases)
        func resumeAfterEnd(kind: DriverKind) throws {
            try withBench(kind) {
                $0.hasSmallBuffers = true
            } _: { bench in
                let (client, proto) = try bench.pair { proto, callback in
                    guard callback == .data else { return }
                    proto.transport.write([UInt8](repeating: 1, count: 50_000))
                    proto.transport.loseConnection()
                    proto.transport.resumeProducing()
                }
                client.readsInput = false
                client.send("x")
                bench.turn("it was written") { proto.count(.data) == 1 }
                client.send("more")
                proto.transport.pauseProducing()
                proto.transport.resumeProducing()
                bench.turn()
                #expect(proto.received.count == 1)
                client.readsInput = true
                bench.turn("the end came") { proto.isLost }
                proto.transport.pauseProducing()
                proto.transport.resumeProducing()
                bench.turn()
                #expect(proto.callbacks.last == .lost)
            }
        }

        @Test(
            "C24: a paused connection that is aborted or closed here ends without resume",
            arguments: DriverKind.allCases,
            [true, false]
        )
        func endWhilePaused(kind: DriverKind, abort: Bool) throws {
            try withBench(kind) { bench in
                let (client, proto) = try bench.pair { if $1 == .made { $0.transport.pauseProducing() } }
                client.send("unread")
                bench.turn()
                if abort { proto.transport.abortConnection() } else { proto.transport.loseConnection() }
                bench.turn("the end came") { proto.isLost && client.isOver }
                #expect(proto.received.isEmpty)
                #expect((client.error == nil) == !abort)
            }
        }

        @Test(
            "bytes left when a read budget ends are read in later turns without a further edge",
            arguments: DriverKind.allCases
        )
        func budgetEnds(kind: DriverKind) throws {
            try withBench(kind) { options in
                options.configuration.receiveBufferBytes = 64
                options.configuration.readBudgetBytes = 64
            } _: { bench in
                let (client, proto) = try bench.pair()
                let message = pattern(2000)
                client.send(message)
                client.shutdownWrites()
                bench.turn("all came") { proto.isLost }
                #expect(proto.received == message && proto.pieces.count >= 2000 / 64)
                #expect(proto.reasonText == "done")
            }
        }

        @Test("urgent data in mid-stream freezes nothing: it comes in line")
        func urgent() throws {
            try withBench(.epoll) { bench in
                let (client, proto) = try bench.pair()
                let descriptor = try #require(client.descriptor)
                for round in 1...3 {
                    client.send("abc")
                    #expect(unsafe Glibc.send(descriptor, "X", 1, Int32(MSG_OOB)) == 1)
                    client.send("defghij")
                    bench.turn("all came") { proto.received.count == 11 * round }
                }
                #expect(String(decoding: proto.received, as: UTF8.self) == "abcXdefghijabcXdefghijabcXdefghij")
                client.close()
                bench.turn("the end came") { proto.isLost }
                #expect(proto.reasonText == "done")
            }
        }
    }
}
