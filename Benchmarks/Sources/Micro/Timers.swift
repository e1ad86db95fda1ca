// SPDX-License-Identifier: Apache-2.0

import Spindle

/// What a timer costs, and whether a million of them come in order (it traps when not).
enum Timers {
    static func run(_ arguments: Arguments) async throws -> Figures {
        let pending = arguments.number("pending", default: 100_000)
        let pair = try TwoReactors(idleSpin: .zero)
        return try await pair.measure { reactor in
            var random = Delays(seed: 1)
            for _ in 0..<pending { reactor.callLater(random.next(from: 1, spread: 100)) {} }
            let delays = (0..<1024).map { _ in random.next(from: 1, spread: 100) }
            let rounds = arguments.number("rounds", default: 2_000_000)
            let start = reactor.readClock().nanoseconds
            for round in 0..<rounds { reactor.callLater(delays[round & 1023]) {}.cancel() }
            let cost = Double(reactor.readClock().nanoseconds - start) / Double(rounds)
            let clock = reactor.readClock().nanoseconds
            for _ in 0..<rounds { _ = reactor.readClock() }
            let clockCost = Double(reactor.readClock().nanoseconds - clock) / Double(rounds)
            expire(arguments.number("expire", default: 1_000_000), on: reactor) {
                pair.finish(["ns": cost, "clockReading": clockCost])
            }
        }
    }

    /// Timers that are due within 2 s and must fire in the order of their due times, and of calls within a tick.
    private static func expire(_ count: Int, on reactor: Reactor, done: @escaping () -> Void) {
        var random = Delays(seed: 7)
        var dues: [MonotonicInstant] = []
        dues.reserveCapacity(count)
        var last = -1
        var fired = 0
        for number in 0..<count {
            let timer = reactor.callLater(random.next(from: 1, spread: 1)) {
                precondition(
                    last < 0 || (dues[last], last) < (dues[number], number),
                    "timer \(number), due \(dues[number]), fired after \(last), due \(dues[last])"
                )
                last = number
                fired += 1
                if fired == count { done() }
            }
            dues.append(timer.due!)
        }
    }

    /// Pseudo-random delays, the same in every run.
    private struct Delays {
        private var state: UInt64
        init(seed: UInt64) { state = seed }

        /// `from` seconds up to `spread` more.
        mutating func next(from: Int64, spread: Int64) -> Duration {
            // Knuth's MMIX generator.
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return .nanoseconds(1_000_000_000 * from + Int64(state >> 24) % (1_000_000_000 * spread))
        }
    }
}
