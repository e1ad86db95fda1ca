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

    /// When message `round`, counted from 0, of the worker's connection `index` is due.
    func due(_ round: Int, of index: Int) -> UInt64 {
        start + UInt64(Double(round * connectionCount + connections.lowerBound + index) * interval)
    }

    /// When the next message is due; nil without connections.
    var nextDue: UInt64? { connections.isEmpty ? nil : due(taken / connections.count, of: taken % connections.count) }

    /// The worker's connection whose message is due by `now` and was not taken; nil when none is.
    mutating func takeDue(by now: UInt64) -> Int? {
        guard let due = nextDue, due <= now else { return nil }
        defer { taken += 1 }
        return taken % connections.count
    }
}
