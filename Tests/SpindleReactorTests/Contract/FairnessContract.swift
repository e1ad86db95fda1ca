// SPDX-License-Identifier: Apache-2.0

import SpindleCore
import Synchronization
import Testing

@testable import SpindleReactor

extension Contract {
    /// Who has to wait for whom within a turn.
    @Suite("fairness") struct Fairness {
        private static let shared = DriverKind.allCases.filter { $0.reactorCount > 1 }

        @Test(
            "mail that comes in the middle of a batch is handled within the events of a glance",
            arguments: shared,
            [1, 4, 16]
        )
        func mailAmongEvents(kind: DriverKind, glance: Int) throws {
            try withBench(kind) {
                $0.configuration.eventsPerMailGlance = glance
            } _: { bench in
                let neighbour = try #require(bench.neighbours.reactors.first)
                let callbacksSinceSend = Mutex<Int?>(nil)
                let handledAfter = Mutex<Int?>(nil)
                let channel = Channel<Int>(bench.reactor.mailroom) { _, _ in
                    let count = callbacksSinceSend.withLock { $0 }
                    handledAfter.withLock { $0 = count }
                }
                let address = try bench.listen { _, callback in
                    guard callback == .data else { return }
                    let isFirst = callbacksSinceSend.withLock { count in
                        defer { count = count.map { $0 + 1 } ?? 0 }
                        return count == nil
                    }
                    guard isFirst else { return }
                    // Its flush shows the message and rings the bell, here and now.
                    neighbour.perform { #expect(channel.send(1, to: bench.reactor.index) == .sent) }
                }
                let clients = try (0..<40).map { _ in try bench.connect(to: address) }
                bench.turn("they stand") { bench.protocols.count == clients.count }
                for client in clients { client.send("x") }
                bench.turn("all came") { bench.protocols.allSatisfy { !$0.received.isEmpty } }
                let count = try #require(handledAfter.withLock { $0 })
                #expect(count <= glance, "handled after \(count) more events")
            }
        }

        @Test(
            "C14: what a callback writes is sent before the next callback of its batch",
            arguments: DriverKind.allCases
        )
        func sentBeforeTheNext(kind: DriverKind) throws {
            try withBench(kind) { bench in
                var sends: [UInt64] = []
                let address = try bench.listen { proto, callback in
                    guard callback == .data else { return }
                    sends.append(bench.counter(.sends))
                    proto.transport.write("one")
                    proto.transport.write("two")
                }
                let clients = try (0..<8).map { _ in try bench.connect(to: address) }
                bench.turn("they stand") { bench.protocols.count == clients.count }
                for client in clients { client.send("x") }
                bench.turn("all are answered") { clients.allSatisfy { $0.text == "onetwo" } }
                #expect(sends == Array(0..<8), "one send for each callback, before the next one")
            }
        }
    }
}
