// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import SpindleLoad

@Suite("When messages of an open loop are due")
struct SendScheduleTests {
    /// What all workers take until `end`, as (when due, which connection of the load).
    private func taken(
        connections: Int,
        workers: Int,
        perSecond: Double,
        until end: UInt64,
        behind: UInt64.Stride
    ) -> [(UInt64, Int)] {
        var all: [(UInt64, Int)] = []
        for part in 0..<workers {
            let numbers = connections * part / workers..<connections * (part + 1) / workers
            var schedule = SendSchedule(
                start: 1000,
                messagesPerSecond: perSecond,
                connections: numbers,
                of: connections
            )
            let times = schedule
            var rounds = Array(repeating: 0, count: numbers.count)
            // Now and then far behind: what is taken is the same.
            for now in stride(from: 1000, through: end, by: behind) + [end] {
                schedule.takeDue(by: now) { index, count in
                    for _ in 0..<count {
                        all.append((times.due(rounds[index], of: index), numbers.lowerBound + index))
                        rounds[index] += 1
                    }
                }
            }
        }
        return all.sorted { $0.0 < $1.0 }
    }

    @Test(
        "messages are due evenly over all workers, and connections take turns",
        arguments: [(1, 1), (7, 1), (7, 3), (64, 2), (2, 5)],
        [999_999, 50_000_000, 700_000_001] as [UInt64.Stride]
    )
    func even(shape: (connections: Int, workers: Int), behind: UInt64.Stride) {
        let connections = shape.connections
        let found = taken(
            connections: connections,
            workers: shape.workers,
            perSecond: 1000,
            until: 1000 + 1_000_000_000,
            behind: behind
        )
        #expect(found.map(\.0) == (0...1000).map { 1000 + UInt64($0) * 1_000_000 })
        #expect(found.map(\.1) == (0...1000).map { $0 % connections })
    }

    @Test("a rate that does not divide a second loses no message, however long it goes on")
    func uneven() {
        var schedule = SendSchedule(start: 0, messagesPerSecond: 700_000, connections: 0..<3, of: 3)
        var count = 0
        schedule.takeDue(by: 10_000_000_000) { count += $1 }
        // Message 0 is due at once.
        #expect(count == 7_000_001)
        #expect(schedule.nextDue.map { $0 > 10_000_000_000 } == true)
    }

    @Test("nothing is due before the start, nor ever without connections")
    func nothing() {
        var early = SendSchedule(start: 500, messagesPerSecond: 1000, connections: 0..<1, of: 1)
        early.takeDue(by: 499) { Issue.record("connection \($0) is early by \($1)") }
        var count = 0
        early.takeDue(by: 500) { count += $1 }
        #expect(count == 1)
        var empty = SendSchedule(start: 0, messagesPerSecond: 1000, connections: 3..<3, of: 3)
        empty.takeDue(by: 1 << 40) { Issue.record("connection \($0) does not exist, but \($1) are due") }
        #expect(empty.nextDue == nil)
    }
}
