// SPDX-License-Identifier: Apache-2.0

/// When the messages of a worker's connections are due in an open loop.
///
/// The messages of the whole load are numbered as they are due, `interval` apart, and all connections take turns. A
/// worker has `connections` of them that follow each other. So the load is even, however many there are of either.
struct SendSchedule {
    /// Nanoseconds of the reactors' clock: when message 0 of the load is due.
    let start: UInt64
    /// Nanoseconds between two messages of the load.
    let interval: Double
    /// The worker's connections, as numbered in the load.
    let connections: Range<Int>
    /// Connections of the whole load.
    let connectionCount: Int
    /// How many of the worker's messages were taken.
    private(set) var taken = 0

    init(start: UInt64, messagesPerSecond: Double, connections: Range<Int>, of connectionCount: Int) {
        self.start = start
        interval = 1e9 / messagesPerSecond
        self.connections = connections
        self.connectionCount = connectionCount
    }

    /// That of a worker with the connections `numbers` of the plan.
    init(of plan: LoadPlan, messagesPerSecond: Double, for numbers: Range<Int>, start: UInt64) {
        let first = plan.firstConnection
        self.init(
            start: start,
            messagesPerSecond: messagesPerSecond,
            connections: numbers.lowerBound - first..<numbers.upperBound - first,
            of: plan.connections
        )
    }

    /// When message `round`, counted from 0, of the worker's connection `index` is due.
    func due(_ round: Int, of index: Int) -> UInt64 {
        start + UInt64(Double(round * connectionCount + connections.lowerBound + index) * interval)
    }

    /// When the next message is due; nil without connections.
    var nextDue: UInt64? { connections.isEmpty ? nil : due(taken / connections.count, of: taken % connections.count) }

    /// How many messages of the worker's connection `index` are due at `now`, from the beginning.
    func dueCount(of index: Int, at now: UInt64) -> Int {
        guard now >= start else { return 0 }
        let number = Double(now - start) / interval - Double(connections.lowerBound + index)
        var count = max(0, Int(number / Double(connectionCount)))
        // `due` decides, whatever was rounded.
        while count > 0, due(count - 1, of: index) > now { count -= 1 }
        while due(count, of: index) <= now { count += 1 }
        return count
    }

    /// Takes everything that is due by `now`; far behind, many messages of a connection at once, so that a rate that
    /// nobody can keep up with takes no more time than another.
    ///
    /// - Parameter body: Called with a connection and how many more of its messages are due.
    mutating func takeDue(by now: UInt64, _ body: (_ index: Int, _ count: Int) -> Void) {
        let places = connections.count
        for _ in 0..<places {
            guard let due = nextDue, due <= now else { return }
            body(taken % places, 1)
            taken += 1
        }
        guard let due = nextDue, due <= now else { return }
        var all = 0
        for index in 0..<places {
            let takenBefore = taken / places + (index < taken % places ? 1 : 0)
            let count = dueCount(of: index, at: now)
            if count > takenBefore { body(index, count - takenBefore) }
            all += max(count, takenBefore)
        }
        taken = all
    }
}
