// SPDX-License-Identifier: Apache-2.0

public import Histogram

/// What a run of the load generator has measured.
public struct LoadResult: Sendable {
    /// Messages that came back in the measured time.
    public let messages: Int
    /// The measured time.
    public let elapsed: Duration
    /// Messages of an open loop that were due and never sent, because what came before them had not come back: the
    /// server did not keep up. 0 in a closed loop.
    public let unsent: Int
    /// Datagrams that did not come back within half a second; nil of connections.
    public let lost: Int?
    /// Nanoseconds from sending a message or, in an open loop, from when it was due, to its last byte coming back. Of
    /// what was due in the measured time and never sent, how long it had waited at the end.
    public let latency: Histogram<UInt64>
    /// The measured time in stretches of a second.
    public let intervals: [LoadInterval]
    /// True when the run was ended before its time.
    public let wasEndedEarly: Bool
    /// What came and went beside the work; nil when nothing was to.
    public let churn: ChurnResult?
    /// Resident bytes of the server's process for each connection, from before the first to the end of measuring; nil
    /// when they are not known.
    public let bytesPerConnection: Double?
    /// What the server's process used in the measured time; nil when it is not known.
    public let serverUsage: ServerUsage?
    /// The CPU time of the server's reactors per message, by reactor, when the server is in this process.
    public let serverCPU: [Duration]
    /// System calls of the server's reactors in the measured time, when the server is in this process; else empty.
    public let serverCalls: [(name: String, count: Int)]
    /// The share of the measured time that each reactor of the generator was busy, 0...1.
    public let generatorBusy: [Double]
    /// Connections of each of the server's reactors, when the server is in this process.
    public let serverConnections: [Int]
    /// Bytes that each of the server's reactors has received in the measured time.
    public let serverBytes: [Int]

    init(
        messages: Int,
        elapsed: Duration,
        unsent: Int,
        lost: Int? = nil,
        latency: Histogram<UInt64>,
        intervals: [LoadInterval],
        wasEndedEarly: Bool,
        churn: ChurnResult? = nil,
        bytesPerConnection: Double? = nil,
        serverUsage: ServerUsage? = nil,
        serverCPU: [Duration] = [],
        serverCalls: [(name: String, count: Int)] = [],
        generatorBusy: [Double] = [],
        serverConnections: [Int] = [],
        serverBytes: [Int] = []
    ) {
        self.messages = messages
        self.elapsed = elapsed
        self.unsent = unsent
        self.lost = lost
        self.latency = latency
        self.intervals = intervals
        self.wasEndedEarly = wasEndedEarly
        self.churn = churn
        self.bytesPerConnection = bytesPerConnection
        self.serverUsage = serverUsage
        self.serverCPU = serverCPU
        self.serverCalls = serverCalls
        self.generatorBusy = generatorBusy
        self.serverConnections = serverConnections
        self.serverBytes = serverBytes
    }

    /// How busy the generator's busiest core was, when that may have been the limit: 0...1.
    public var generatorLimit: Double? { generatorBusy.max().flatMap { $0 > 0.95 ? $0 : nil } }

    /// Messages per second.
    public var messagesPerSecond: Double { Double(messages) / (elapsed / .seconds(1)) }

    /// Connections that came and went, per second; nil when none were to.
    public var churnPerSecond: Double? { churn.map { Double($0.connections) / (elapsed / .seconds(1)) } }
}

/// Connections that came and went beside a load.
public struct ChurnResult: Sendable {
    /// Those whose one message came back in the measured time.
    public let connections: Int
    /// Those that were due and never opened, because those before them had not ended.
    public let unopened: Int
    /// Nanoseconds from when a connection was due to its message having come back.
    public let latency: Histogram<UInt64>

    init(connections: Int, unopened: Int, latency: Histogram<UInt64>) {
        self.connections = connections
        self.unopened = unopened
        self.latency = latency
    }

    init(_ figures: LoadFigures) {
        self.init(
            connections: figures.messages,
            unopened: figures.unsent,
            latency: figures.latency ?? LoadFigures.makeHistogram()
        )
    }
}
