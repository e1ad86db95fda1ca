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
    /// Nanoseconds from sending a message or, in an open loop, from when it was due, to its last byte coming back. Of
    /// what was due in the measured time and never sent, how long it had waited at the end.
    public let latency: Histogram<UInt64>
    /// The measured time in stretches of a second.
    public let intervals: [LoadInterval]
    /// True when the run was ended before its time.
    public let wasEndedEarly: Bool
    /// What the server's process used in the measured time; nil when it is not known.
    public let serverUsage: ServerUsage?
    /// The CPU time of the server's reactors per message, by reactor, when the server is in this process.
    public let serverCPU: [Duration]
    /// The share of time that each reactor of the generator was busy, 0...1.
    public let generatorBusy: [Double]
    /// Connections of each of the server's reactors, when the server is in this process.
    public let serverConnections: [Int]
    /// Bytes that each of the server's reactors has received in the measured time.
    public let serverMessages: [Int]

    /// How busy the generator's busiest core was, when that may have been the limit: 0...1.
    public var generatorLimit: Double? { generatorBusy.max().flatMap { $0 > 0.95 ? $0 : nil } }

    /// Messages per second.
    public var messagesPerSecond: Double { Double(messages) / (elapsed / .seconds(1)) }
}
