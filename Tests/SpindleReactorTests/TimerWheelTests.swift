// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import SpindleReactor

/// The wheel against a sorted list: by due tick, then by order of calls.
@Suite
struct TimerWheelTests {
    /// xorshift64: the same numbers for the same seed.
    private struct Random {
        var state: UInt64
        mutating func next(below bound: UInt64) -> UInt64 {
            state ^= state << 13
            state ^= state >> 7
            state ^= state << 17
            return state % bound
        }
    }

    private struct Entry {
        let number: Int
        var due: UInt64
        var order: Int
        let id: TimerWheel<Int>.ID
    }

    @Test("timers fire by due tick and then in order of calls, through cascades, cancels and jumps", arguments: 1...40)
    func model(seed: Int) {
        var random = Random(state: UInt64(seed) &* 0x9e37_79b9_7f4a_7c15 | 1)
        let start = random.next(below: 1 << 46)
        var wheel = TimerWheel<Int>(currentTick: start)
        var model: [Entry] = []
        var now = start
        var calls = 0
        for step in 0..<400 {
            switch random.next(below: 10) {
            case 0..<5:
                let due = now &+ random.next(below: 1 << random.next(below: 44)) &+ 1
                calls += 1
                model.append(Entry(number: calls, due: due, order: calls, id: wheel.schedule(at: due, calls)))
            case 5 where !model.isEmpty:
                let entry = model.remove(at: Int(random.next(below: UInt64(model.count))))
                let (first, second) = (wheel.cancel(entry.id), wheel.cancel(entry.id))
                #expect(first == entry.number && second == nil)
            case 6 where !model.isEmpty:
                let index = Int(random.next(below: UInt64(model.count)))
                calls += 1
                model[index].due = now &+ random.next(below: 1 << random.next(below: 30)) &+ 1
                model[index].order = calls
                let moved = wheel.reschedule(model[index].id, at: model[index].due)
                #expect(moved)
            default:
                now &+= random.next(below: 1 << random.next(below: 38))
                wheel.advance(to: now)
                let due = model.filter { $0.due <= now }.sorted { ($0.due, $0.order) < ($1.due, $1.order) }
                var fired: [Int] = []
                while let number = wheel.popExpired() { fired.append(number) }
                #expect(fired == due.map(\.number), "seed \(seed), step \(step)")
                model.removeAll { $0.due <= now }
            }
            #expect(wheel.count == model.count)
            if let first = model.map(\.due).min() {
                #expect(wheel.nextTick.map { $0 <= first && $0 > now } == true, "seed \(seed), step \(step)")
            } else {
                #expect(wheel.nextTick == nil)
            }
        }
    }

    @Test("a tick that has passed fires at the next advance, behind what was due, and not before")
    func zeroDelay() {
        var wheel = TimerWheel<String>(currentTick: 100)
        _ = wheel.schedule(at: 101, "due")
        _ = wheel.schedule(at: 0, "zero")
        var fired = [wheel.popExpired()]
        wheel.advance(to: 101)
        fired.append(wheel.popExpired())
        _ = wheel.schedule(at: 0, "next turn")
        fired += [wheel.popExpired(), wheel.popExpired()]
        wheel.advance(to: 101)
        fired.append(wheel.popExpired())
        #expect(fired == [nil, "due", "zero", nil, "next turn"])
    }

    @Test("100,000 pending timers expire in order")
    func many() {
        var random = Random(state: 42)
        var wheel = TimerWheel<UInt64>()
        for _ in 0..<100_000 {
            let due = random.next(below: 1 << 30) + 1
            _ = wheel.schedule(at: due, due)
        }
        wheel.advance(to: 1 << 31)
        var last: UInt64 = 0
        var count = 0
        while let due = wheel.popExpired() {
            #expect(due >= last)
            last = due
            count += 1
        }
        #expect(count == 100_000)
    }
}
