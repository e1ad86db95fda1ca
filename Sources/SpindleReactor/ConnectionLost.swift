// SPDX-License-Identifier: Apache-2.0

public import SpindleCore

/// The connection of an `async` handler has ended, and not in order.
public struct ConnectionLost: Error, CustomStringConvertible {
    /// Why.
    public let reason: DisconnectReason
    /// One line for a log.
    public var description: String { "the connection ended: \(reason)" }
}
