// SPDX-License-Identifier: Apache-2.0

/// When the messages of a load are sent.
public enum Pace: Sendable, Equatable {
    /// Closed loop: a message follows when the one before it has come back. While the server stalls nothing is sent,
    /// so what would have been sent then, and its waiting, is missing from the latencies (coordinated omission).
    case closed
    /// Open loop: so many messages a second over all connections, evenly, whatever comes back. A latency counts from
    /// the moment at which the message was due, not from when it could be sent.
    case open(messagesPerSecond: Double)

    /// True for an open loop.
    public var isOpen: Bool { self != .closed }
}
