// SPDX-License-Identifier: Apache-2.0

import SpindleCore
import SpindleSimulation
import Testing

@testable import SpindleReactor

extension Contract {
    /// Exact in simulated time; on sockets, that every byte arrives.
    @Suite("rates") struct Pacing {
        static let simulated = DriverKind.allCases.filter { !$0.isEpoll }

        /// 10,000 bytes a second and 1,000 at once.
        private func slow() -> RateLimit { RateLimit(bytesPerSecond: 10_000, burstBytes: 1000) }

        /// Looks every millisecond of simulated time.
        private func watch(_ bench: ContractBench, for milliseconds: Int, _ look: (Int) -> Void) {
            for millisecond in 0...milliseconds {
                bench.turn(times: 4)
                look(millisecond)
                bench.advance(by: .milliseconds(1))
            }
        }

        @Test("reading and writing follow the rate, byte for byte in order", arguments: simulated, [true, false])
        func rate(kind: DriverKind, reads: Bool) throws {
            try withBench(kind) { bench in
                let message = pattern(20_000)
                let (client, proto) = try bench.pair { proto, callback in
                    guard callback == .made else { return }
                    if reads { proto.transport.readLimits = [slow()] } else { proto.transport.writeLimits = [slow()] }
                    if !reads { proto.transport.write(message) }
                }
                if reads { client.send(message) }
                var isPaced = true
                watch(bench, for: 1950) { millisecond in
                    let moved = reads ? proto.received.count : client.received.count
                    let allowed = 1000 + 10 * millisecond
                    // A turn's worth of 1 KiB, and a tick of the wheel.
                    if moved > allowed || moved < min(allowed - 1034, 20_000) { isPaced = false }
                }
                #expect(isPaced)
                #expect((reads ? proto.received : client.received) == message)
            }
        }

        @Test("connections that share a limit share it evenly, and have no more of it together", arguments: simulated)
        func shared(kind: DriverKind) throws {
            try withBench(kind) { bench in
                let all = slow()
                let address = try bench.listen { proto, callback in
                    if callback == .made { proto.transport.readLimits = [all] }
                }
                let clients = try (0..<4).map { _ in try bench.connect(to: address) }
                for client in clients { client.send(pattern(20_000)) }
                var isBounded = true
                watch(bench, for: 4000) { millisecond in
                    let sum = bench.protocols.reduce(0) { $0 + $1.received.count }
                    if sum > 1000 + 10 * millisecond { isBounded = false }
                }
                #expect(isBounded)
                let counts = bench.protocols.map(\.received.count)
                #expect(counts.count == 4 && counts.reduce(0, +) > 40_000 - 4096)
                #expect(counts.max()! - counts.min()! <= 2048, "\(counts)")
            }
        }

        @Test("an own limit keeps nothing of a shared one from the others", arguments: simulated)
        func ownAndShared(kind: DriverKind) throws {
            try withBench(kind) { bench in
                let all = slow()
                let address = try bench.listen { proto, callback in
                    guard callback == .made else { return }
                    let own = RateLimit(bytesPerSecond: 1000, burstBytes: 100)
                    proto.transport.readLimits = bench.protocols.count == 1 ? [own, all] : [all]
                }
                let clients = try (0..<2).map { _ in try bench.connect(to: address) }
                for client in clients { client.send(pattern(30_000)) }
                watch(bench, for: 2000) { _ in }
                let counts = bench.protocols.map(\.received.count).sorted()
                #expect((1900...2100).contains(counts[0]) && (17_000...19_100).contains(counts[1]), "\(counts)")
            }
        }

        @Test("what fits is neither late nor costs more than two looks", arguments: DriverKind.allCases)
        func fits(kind: DriverKind) throws {
            try withBench(kind) { bench in
                let limit = RateLimit(bytesPerSecond: 1_000_000)
                let (client, _) = try bench.pair { proto, callback in
                    if callback == .made {
                        (proto.transport.readLimits, proto.transport.writeLimits) = ([limit], [limit])
                    }
                    if callback == .data { proto.transport.write("answer") }
                }
                let before = (bench.counter(.receives), bench.counter(.sends))
                for round in 1...10 {
                    client.send("question")
                    bench.turn("the answer came") { client.received.count == 6 * round }
                }
                #expect(bench.counter(.receives) - before.0 == 10 && bench.counter(.sends) - before.1 == 10)
            }
        }

        @Test("no timeout of the peer's runs while this side waits for a limit", arguments: simulated)
        func timeouts(kind: DriverKind) throws {
            try withBench(kind) { options in
                options.configuration.writeProgressTimeout = .milliseconds(50)
                options.configuration.closeTimeout = .milliseconds(50)
            } _: { bench in
                let (client, proto) = try bench.pair { proto, callback in
                    guard callback == .made else { return }
                    let limits = [RateLimit(bytesPerSecond: 1000, burstBytes: 100)]
                    (proto.transport.readLimits, proto.transport.writeLimits) = (limits, limits)
                    proto.transport.setIdleTimeout(.milliseconds(50))
                    proto.transport.write(pattern(500))
                }
                client.send(pattern(500))
                watch(bench, for: 450) { _ in }
                #expect(proto.count(.idle) == 0 && !proto.isLost)
                proto.transport.loseConnection()
                watch(bench, for: 1000) { _ in }
                #expect(client.received == pattern(500) && client.isAtEnd)
                #expect(proto.reasonText == "done")
            }
        }

        @Test("a peer that does not read is cut off in time all the same", arguments: simulated)
        func deafPeer(kind: DriverKind) throws {
            try withBench(kind) { options in
                options.hasSmallBuffers = true
                options.configuration.writeProgressTimeout = .milliseconds(50)
            } _: { bench in
                let (client, proto) = try bench.pair { proto, callback in
                    guard callback == .made else { return }
                    proto.transport.writeLimits = [RateLimit(bytesPerSecond: 1_000_000)]
                    proto.transport.write(pattern(200_000))
                }
                client.readsInput = false
                watch(bench, for: 200) { _ in }
                #expect(proto.reasonText == "timed out (writeProgress)")
            }
        }

        @Test(
            "a limit that is lifted, or set anew, lets go on at once what waited for it",
            arguments: DriverKind.allCases
        )
        func lifted(kind: DriverKind) throws {
            try withBench(kind) { bench in
                let (client, proto) = try bench.pair { proto, callback in
                    guard callback == .made else { return }
                    let limits = [RateLimit(bytesPerSecond: 1, burstBytes: 1)]
                    (proto.transport.readLimits, proto.transport.writeLimits) = (limits, limits)
                    proto.transport.write("1234567")
                }
                client.send("abcdefg")
                bench.turn("a byte") { !proto.received.isEmpty || !client.received.isEmpty }
                bench.turn()
                #expect(proto.received.count < 7 && client.received.count < 7)
                #expect(proto.transport.isWritable)
                proto.transport.writeLimits = []
                proto.transport.readLimits = [RateLimit(bytesPerSecond: 1_000_000)]
                bench.turn("everything came") { client.text == "1234567" && proto.received.count == 7 }
                #expect(proto.transport.writeLimits.isEmpty && proto.transport.readLimits.count == 1)
                #expect(proto.transport.bufferedByteCount == 0)
            }
        }

        @Test("what waits for a limit counts as unsent: watermarks and the hard limit hold", arguments: simulated)
        func watermarks(kind: DriverKind) throws {
            try withBench(kind) { options in
                options.configuration.writeHighWatermarkBytes = 2000
                options.configuration.writeLowWatermarkBytes = 500
                options.configuration.writeLimitBytes = 10_000
            } _: { bench in
                let (client, proto) = try bench.pair { proto, callback in
                    guard callback == .made else { return }
                    proto.transport.writeLimits = [slow()]
                    proto.transport.write(pattern(5000))
                }
                bench.turn()
                #expect(proto.count(.highWatermark) == 1 && !proto.transport.isReading)
                #expect(proto.transport.bufferedByteCount == 4000)
                watch(bench, for: 500) { _ in }
                #expect(proto.count(.lowWatermark) == 1 && proto.count(.drained) == 1 && client.received.count == 5000)
                proto.transport.write(pattern(20_000))
                bench.turn("it ended") { proto.isLost }
                #expect(proto.reasonText == "the limit on unsent bytes was exceeded")
            }
        }

        @Test("a connection that ends gives back what it had reserved", arguments: simulated)
        func givenBack(kind: DriverKind) throws {
            try withBench(kind) { bench in
                let all = RateLimit(bytesPerSecond: 1000, burstBytes: 1000)
                let address = try bench.listen { proto, callback in
                    if callback == .made { proto.transport.writeLimits = [all] }
                }
                let clients = try (0..<3).map { _ in try bench.connect(to: address) }
                bench.turn("they stand") { bench.protocols.count == 3 }
                for proto in bench.protocols { proto.transport.write(pattern(1000)) }
                bench.turn()
                #expect(clients.map(\.received.count) == [1000, 0, 0])
                bench.protocols[2].transport.abortConnection()
                bench.turn()
                bench.protocols[0].transport.write(pattern(1000))
                watch(bench, for: 2010) { _ in }
                #expect(clients.map(\.received.count) == [2000, 1000, 0])
            }
        }

        @Test("a pause of the protocol's own holds on when the limit would let it read", arguments: simulated)
        func ownPause(kind: DriverKind) throws {
            try withBench(kind) { bench in
                let (client, proto) = try bench.pair { proto, callback in
                    if callback == .made { proto.transport.readLimits = [slow()] }
                }
                client.send(pattern(3000))
                bench.turn()
                #expect(proto.received.count == 1000)
                proto.transport.pauseProducing()
                watch(bench, for: 300) { _ in }
                #expect(proto.received.count == 1000)
                let turns = bench.counter(.timersFired)
                watch(bench, for: 300) { _ in }
                #expect(bench.counter(.timersFired) == turns, "a connection that nobody lets read needs no timer")
                proto.transport.resumeProducing()
                watch(bench, for: 250) { _ in }
                #expect(proto.received == pattern(3000))
            }
        }

        @Test(
            "with faults everywhere every byte arrives, through limits of both kinds",
            arguments: simulated,
            0..<10 as Range<UInt64>
        )
        func faults(kind: DriverKind, seed: UInt64) throws {
            try withBench(kind) { options in
                options.hasSmallBuffers = true
                options.seed = seed
            } _: { bench in
                bench.network?.faults = FaultPlan(seed: seed)
                bench.network?.faults.acceptErrors = 0
                let all = RateLimit(bytesPerSecond: 100_000)
                let address = try bench.listen { proto, callback in
                    guard callback == .made else { return }
                    (proto.transport.readLimits, proto.transport.writeLimits) = ([slow(), all], [all])
                    proto.onBytes = { $0.transport.write($1) }
                }
                let clients = try (0..<3).map { _ in try bench.connect(to: address) }
                for client in clients {
                    client.send(pattern(3000))
                    client.shutdownWrites()
                }
                watch(bench, for: 500) { _ in }
                #expect(clients.allSatisfy { $0.received == pattern(3000) && $0.isAtEnd })
            }
        }
    }
}
