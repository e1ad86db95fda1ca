// SPDX-License-Identifier: Apache-2.0

import SpindleCore
import SpindleSimulation
import Testing

@testable import SpindleReactor

extension Contract {
    /// What else happens to connections that wait for a limit.
    @Suite("rates and ends") struct PacingEnds {
        private func look(_ bench: ContractBench, for milliseconds: Int) {
            for _ in 0...milliseconds {
                bench.turn(times: 4)
                bench.advance(by: .milliseconds(1))
            }
        }

        @Test(
            "a connection that is aborted with input left for the next turn is over, and asks no limit",
            arguments: [DriverKind.simulated, .epoll]
        )
        func crashOnClosed(kind: DriverKind) throws {
            try withBench(kind) { bench in
                let (client, proto) = try bench.pair { proto, callback in
                    if callback == .made { proto.transport.readLimits = [RateLimit(bytesPerSecond: 10_000_000)] }
                }
                var isAborted = false
                proto.onBytes = { proto, _ in
                    guard !isAborted else { return }
                    isAborted = true
                    // What another connection's callback, a job, or a timer would do.
                    bench.reactor.callSoon { proto.transport.abortConnection() }
                }
                client.send(pattern(300_000))
                bench.turn("it ended") { proto.isLost }
                bench.turn()
            }
        }

        @Test(
            "resumed by another's callback and met by an event at once, it reads on when the limit allows"
        )
        func stallMinimal() throws {
            try withBench(.simulated) { bench in
                let limit = RateLimit(bytesPerSecond: 10_000_000, burstBytes: 1000)
                let address = try bench.listen()
                let clients = try (0..<2).map { _ in try bench.connect(to: address) }
                bench.turn("both stand") { bench.protocols.count == 2 }
                let (b, a) = (bench.protocols[0], bench.protocols[1])
                a.transport.readLimits = [limit]
                a.transport.pauseProducing()
                clients[1].send(pattern(500))
                bench.turn()
                // Used up by somebody else who shares it; due in 0.3 ms.
                let now = bench.reactor.now
                _ = limit.reserve(1000, now: now)
                _ = limit.reserve(1000, now: now)
                b.onBytes = { _, _ in a.transport.resumeProducing() }
                clients[0].send(pattern(1))
                clients[1].send(pattern(500))
                bench.turn(times: 1)
                #expect(bench.connection(of: a).state.flags.isSuperset(of: [.inputHeld, .onReadyList]))
                bench.advance(by: .microseconds(500))
                look(bench, for: 100)
                #expect(a.received.count == 1000, "\(a.received.count)")
            }
        }

        @Test("what was reserved before a pause is not kept for after it")
        func stale() throws {
            try withBench(.simulated) { bench in
                let all = RateLimit(bytesPerSecond: 10_000, burstBytes: 1000)
                let address = try bench.listen { proto, callback in
                    if callback == .made { proto.transport.readLimits = [all] }
                }
                let clients = try (0..<6).map { _ in try bench.connect(to: address) }
                bench.turn("all stand") { bench.protocols.count == 6 }
                for client in clients { client.send(pattern(1000)) }
                bench.turn()
                for proto in bench.protocols { proto.transport.pauseProducing() }
                look(bench, for: 5000)
                let before = bench.protocols.reduce(0) { $0 + $1.received.count }
                for proto in bench.protocols { proto.transport.resumeProducing() }
                bench.turn()
                let atOnce = bench.protocols.reduce(0) { $0 + $1.received.count } - before
                #expect(atOnce <= 1000, "\(atOnce) bytes at one instant of simulated time, of a burst of 1000")
            }
        }

        @Test("after a limit is lifted the timeouts run again", arguments: ["idle", "writeProgress", "close"])
        func timeoutsAfterLift(what: String) throws {
            try withBench(.simulated) { options in
                options.hasSmallBuffers = true
                options.configuration.writeProgressTimeout = .milliseconds(50)
                options.configuration.closeTimeout = .milliseconds(50)
            } _: { bench in
                let (client, proto) = try bench.pair { proto, callback in
                    guard callback == .made else { return }
                    let limits = [RateLimit(bytesPerSecond: 1, burstBytes: 1000)]
                    if what == "idle" {
                        proto.transport.readLimits = limits
                        proto.transport.setIdleTimeout(.milliseconds(50))
                    } else {
                        proto.transport.writeLimits = limits
                        proto.transport.write(pattern(100_000))
                    }
                }
                client.readsInput = what == "idle"
                if what == "idle" { client.send(pattern(2000)) }
                look(bench, for: 200)
                #expect(!proto.isLost && proto.count(.idle) == 0)
                if what == "close" { proto.transport.loseConnection() }
                if what == "idle" { proto.transport.readLimits = [] } else { proto.transport.writeLimits = [] }
                look(bench, for: 1000)
                #expect(what == "idle" ? proto.count(.idle) > 0 : proto.isLost, "\(what): no timeout in a second")
            }
        }

        @Test("what came before a break is delivered, though this side writes meanwhile", arguments: [false, true])
        func broken2(paced: Bool) throws {
            try withBench(.epoll) { bench in
                let (client, proto) = try bench.pair { proto, callback in
                    if callback == .made, paced {
                        proto.transport.readLimits = [RateLimit(bytesPerSecond: 100_000, burstBytes: 1000)]
                    }
                }
                // A heartbeat.
                func beat() {
                    guard !proto.isLost else { return }
                    proto.transport.write("x")
                    bench.reactor.callLater(.milliseconds(5)) { beat() }
                }
                client.send(pattern(5000))
                client.close()
                bench.reactor.callLater(.milliseconds(5)) { beat() }
                bench.turn("it ended") { proto.isLost }
                #expect(proto.received == pattern(5000), "\(proto.reasonText)")
                bench.turn("the heart has stopped") { bench.reactor.wheel.count == 0 }
            }
        }

        @Test("a peer that trickles is cut off by the close timeout", arguments: [false, true])
        func trickle(paced: Bool) throws {
            try withBench(.simulated) { options in
                options.hasSmallBuffers = true
                options.configuration.closeTimeout = .milliseconds(50)
            } _: { bench in
                let (client, proto) = try bench.pair { proto, callback in
                    guard callback == .made else { return }
                    if paced { proto.transport.writeLimits = [RateLimit(bytesPerSecond: 1_000_000, burstBytes: 1000)] }
                    proto.transport.write(pattern(200_000))
                }
                client.readsInput = false
                look(bench, for: 20)
                proto.transport.loseConnection()
                for millisecond in 0..<500 {
                    client.readsInput = millisecond % 40 == 39
                    bench.turn(times: 1)
                    bench.advance(by: .milliseconds(1))
                }
                #expect(
                    proto.isLost,
                    "500 ms after loseConnection, close timeout 50 ms; unsent \(proto.transport.bufferedByteCount)"
                )
            }
        }

        @Test("bytes that another connection's task reads within a callback are none of this one's")
        func nested() throws {
            try withBench(.simulated) { bench in
                let limit = RateLimit(bytesPerSecond: 1_000_000, burstBytes: 1000)
                let address = try bench.listen()
                let clients = try (0..<2).map { _ in try bench.connect(to: address) }
                bench.turn("both stand") { bench.protocols.count == 2 }
                let (a, b) = (bench.protocols[0], bench.protocols[1])
                let other = bench.connection(of: b)
                other.state.flags.insert(.pulled)
                clients[1].send(pattern(1000))
                bench.turn()
                a.transport.readLimits = [limit]
                a.onBytes = { _, _ in _ = other.pull() }
                // Granted 1000 of 2000; the other's 1000 make it 2000.
                clients[0].send(pattern(2000))
                look(bench, for: 100)
                #expect(a.received.count == 2000, "\(a.received.count)")
            }
        }

        @Test("a message that fits uses up no budget and costs no turn more")
        func statistic() throws {
            try withBench(.simulated) { bench in
                let (client, proto) = try bench.pair { proto, callback in
                    if callback == .made { proto.transport.readLimits = [RateLimit(bytesPerSecond: 1_000_000)] }
                }
                bench.turn()
                for _ in 0..<10 {
                    client.send("question")
                    bench.turn(times: 1)
                    #expect(bench.reactor.readyList.isEmpty)
                }
                #expect(proto.received.count == 80 && bench.counter(.readBudgetExhausted) == 0)
            }
        }
    }
}
