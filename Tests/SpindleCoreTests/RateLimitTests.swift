// SPDX-License-Identifier: Apache-2.0

import SpindleCore
import Testing

@Suite("rate limits") struct RateLimitTests {
    private func at(_ nanoseconds: UInt64) -> MonotonicInstant { MonotonicInstant(nanoseconds: nanoseconds) }

    @Test("a burst passes at once, the next byte when the rate has made room for it")
    func burst() {
        let limit = RateLimit(bytesPerSecond: 1000, burstBytes: 500)
        let start: UInt64 = 7_000_000_123
        #expect(limit.reserve(500, now: at(start)).due == at(start))
        #expect(limit.reserve(1, now: at(start)).due > at(start))
        #expect(limit.reserve(1, now: at(start)).due <= at(start + 2_000_000))
        // In the order of coming, though there is room by now for one of them only.
        let late = limit.reserve(500, now: at(start + 1_500_000))
        #expect(late.due > at(start + 500_000_000) && late.due <= at(start + 502_000_000))
        limit.giveBack(500, of: late)
        #expect(limit.reserve(498, now: at(start + 500_000_000)).due == at(start + 500_000_000))
    }

    @Test("what is given back after others have passed a burst does not give them another")
    func givenBackLate() {
        let limit = RateLimit(bytesPerSecond: 1000, burstBytes: 1000)
        let second: UInt64 = 1_000_000_000
        let kept = limit.reserve(1000, now: at(100 * second))
        #expect(limit.reserve(1000, now: at(200 * second)).due == at(200 * second))
        limit.giveBack(1000, of: kept)
        #expect(limit.reserve(1000, now: at(200 * second)).due > at(200 * second))
    }

    @Test("however much is reserved, and never passes, nothing overflows")
    func saturation() {
        let limit = RateLimit(bytesPerSecond: 1, burstBytes: RateLimit.allowedBursts.upperBound)
        for _ in 0..<20_000 { _ = limit.reserve(limit.burstBytes, now: at(10_000_000_000)) }
        #expect(limit.reserve(1, now: at(10_000_000_000)).due == at(.max))
    }

    @Test("a pause gives one burst and no more")
    func pause() {
        let limit = RateLimit(bytesPerSecond: 1_000_000, burstBytes: 64)
        for second in 1...3 as ClosedRange<UInt64> {
            let now = at(second * 3_600_000_000_000)
            #expect(limit.reserve(64, now: now).due == now)
            #expect(limit.reserve(1, now: now).due > now)
        }
    }

    @Test("without a burst of its own one has 100 ms worth, and turns are of 10 ms, within bounds")
    func defaults() {
        #expect(RateLimit(bytesPerSecond: 1_000_000).burstBytes == 100_000)
        #expect(RateLimit(bytesPerSecond: 1_000_000).quantumBytes == 10_000)
        #expect(RateLimit(bytesPerSecond: 1).burstBytes == 1024)
        #expect(RateLimit(bytesPerSecond: 1).quantumBytes == 1024)
        #expect(RateLimit(bytesPerSecond: 1_000_000_000).quantumBytes == 65_536)
        #expect(RateLimit(bytesPerSecond: 1_000_000_000, burstBytes: 7).quantumBytes == 7)
    }

    @Test(
        "in no span do more pass than the burst and the rate allow, whatever is given back",
        arguments: 0..<40 as Range<UInt64>
    )
    func bound(seed: UInt64) {
        var random = SplitMix(state: seed)
        let rate = [1, 999, 1_000_000, 10_000_000_000][Int(seed % 4)]
        let limit = RateLimit(bytesPerSecond: rate, burstBytes: 1 + Int(random.next() % 100_000))
        var now: UInt64 = random.next() % 1_000_000_000_000_000
        var passed: [(at: UInt64, count: Int)] = []
        var kept: [(RateLimit.Reservation, count: Int)] = []
        for _ in 0..<300 {
            now += random.next() % (random.next() % 4 == 0 ? 3_000_000_000 : 3_000_000)
            let count = 1 + Int(random.next() % UInt64(limit.burstBytes))
            let reservation = limit.reserve(count, now: at(now))
            switch random.next() % 4 {
            case 0: limit.giveBack(count, of: reservation)
            // Given back some time, soon or late.
            case 1: kept.append((reservation, count))
            default: passed.append((reservation.due.nanoseconds, count))
            }
            if !kept.isEmpty, random.next() % 3 == 0 {
                let late = kept.remove(at: Int(random.next() % UInt64(kept.count)))
                limit.giveBack(late.count, of: late.0)
            }
        }
        passed.sort { $0.at < $1.at }
        var isBounded = true
        for first in passed.indices {
            var sum = 0
            for last in first..<passed.count {
                sum += passed[last].count
                let span = Double(passed[last].at - passed[first].at)
                if Double(sum) > Double(limit.burstBytes) + span * Double(rate) / 1e9 + 1 { isBounded = false }
            }
        }
        #expect(isBounded)
    }

    @Test("threads that share a limit pass as much as it allows, all together")
    func threads() async {
        let limit = RateLimit(bytesPerSecond: 1_000_000, burstBytes: 1000)
        let last = await withTaskGroup(of: MonotonicInstant.self) { group in
            for _ in 0..<8 {
                group.addTask {
                    var last = MonotonicInstant(nanoseconds: 0)
                    for _ in 0..<5000 {
                        last = max(last, limit.reserve(10, now: MonotonicInstant(nanoseconds: 5)).due)
                    }
                    return last
                }
            }
            return await group.reduce(MonotonicInstant(nanoseconds: 0)) { max($0, $1) }
        }
        // 400,000 bytes less a burst, at a byte each microsecond.
        #expect(
            last == MonotonicInstant(nanoseconds: 399_000_000) || last == MonotonicInstant(nanoseconds: 399_000_005)
        )
    }

    @Test("years of uptime at the highest rate are no overflow")
    func longUptime() {
        let limit = RateLimit(bytesPerSecond: RateLimit.allowedRates.upperBound)
        let now = at(10 * 365 * 86_400 * 1_000_000_000)
        #expect(limit.reserve(limit.burstBytes, now: now).due == now)
        let due = limit.reserve(limit.burstBytes, now: now).due
        #expect(due > at(now.nanoseconds + 99_000_000) && due <= at(now.nanoseconds + 100_000_001))
    }
}

/// Numbers from a seed. Steele, Lea, Flood: Fast splittable pseudorandom number generators.
private struct SplitMix {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var value = state
        value = (value ^ value >> 30) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ value >> 27) &* 0x94D0_49BB_1331_11EB
        return value ^ value >> 31
    }
}
