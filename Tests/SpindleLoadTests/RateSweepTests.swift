// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import SpindleLoad

@Suite("Rate sweep")
struct RateSweepTests {
    /// Sweeps over a server that answers so many a second at most, in a latency that grows towards that.
    private func sweep(_ rates: ClosedRange<Double>, capacity: Double, slowFrom: Double = .infinity) -> RateSweep {
        var sweep = RateSweep(rates)
        while let rate = sweep.next {
            let cameBack = min(rate, capacity)
            sweep.add(
                RateSweep.Step(
                    due: rate,
                    cameBack: cameBack,
                    p50: 50_000,
                    p99: rate >= slowFrom ? 10_000_001 : 10_000_000,
                    p999: 200_000,
                    unsent: rate > capacity ? 100 : 0
                )
            )
        }
        return sweep
    }

    @Test("the knee is found to an eighth of the step in which the server falls behind")
    func knee() throws {
        let sweep = sweep(1000...64_000, capacity: 23_000)
        #expect(sweep.steps.prefix(6).map(\.due) == [1000, 2000, 4000, 8000, 16_000, 32_000])
        #expect(sweep.steps.count == 6 + RateSweep.halvings)
        let knee = try #require(sweep.knee)
        #expect(knee.due <= 23_000 && knee.due > 23_000 - 16_000 / 8)
    }

    @Test("a server that keeps up with everything has its knee at the highest rate")
    func keepsUp() {
        let sweep = sweep(10...1000, capacity: 1e9)
        #expect(sweep.steps.count == RateSweep.risingCount && sweep.knee?.due == 1000)
    }

    @Test("a server that never keeps up has none, and is asked once")
    func neverKeepsUp() {
        let sweep = sweep(1000...2000, capacity: 10)
        #expect(sweep.steps.count == 1 && sweep.knee == nil)
    }

    @Test("a 99th percentile above the limit is no keeping up")
    func slow() throws {
        let knee = try #require(sweep(1000...64_000, capacity: 1e9, slowFrom: 10_000).knee)
        #expect(knee.due < 10_000 && knee.due > 8900)
    }

    @Test("a message more or less is no falling behind")
    func resolution() {
        let sweep = RateSweep(3...3)
        func step(_ cameBack: Double) -> RateSweep.Step {
            RateSweep.Step(due: 3, cameBack: cameBack, p50: 1, p99: 1, p999: 1, unsent: 0, resolution: 0.5)
        }
        #expect(sweep.keepsUp(step(2)) && !sweep.keepsUp(step(1)))
    }

    @Test("a range of one rate is one step")
    func oneRate() {
        #expect(sweep(500...500, capacity: 1e9).steps.map(\.due) == [500])
    }
}
