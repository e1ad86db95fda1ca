// SPDX-License-Identifier: Apache-2.0

internal import SpindleCore

/// How a connection that has ended is to be closed.
struct Ending {
    let reason: DisconnectReason
    /// The peer is to see a reset.
    let reset: Bool
}

/// Connections that have ended and are to be closed, a budget's worth per turn, in the order in which they ended.
///
/// A list through the connections: thousands may end at once, and a queue of its own would need memory just then.
struct CloseQueue {
    private var first: Connection?
    private var last: Connection?
    private(set) var count = 0

    var isEmpty: Bool { first == nil }

    /// Adds a connection that is on no such list.
    mutating func append(_ connection: Connection) {
        if let last { last.nextToClose = connection } else { first = connection }
        last = connection
        count += 1
    }

    mutating func popFirst() -> Connection? {
        guard let connection = first else { return nil }
        first = connection.nextToClose.take()
        if first == nil { last = nil }
        count -= 1
        return connection
    }
}
