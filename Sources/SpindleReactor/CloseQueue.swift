// SPDX-License-Identifier: Apache-2.0

internal import SpindleCore

/// Connections that have ended and are to be closed, a budget's worth per turn, in the order in which they ended.
struct CloseQueue {
    struct Entry {
        let connection: Connection
        let reason: DisconnectReason
        /// The peer is to see a reset.
        let reset: Bool
    }

    private var entries: ContiguousArray<Entry> = []
    private var first = 0

    var isEmpty: Bool { first == entries.count }

    mutating func append(_ entry: Entry) { entries.append(entry) }

    mutating func popFirst() -> Entry? {
        guard first < entries.count else { return nil }
        let entry = entries[first]
        first += 1
        if first == entries.count {
            entries.removeAll(keepingCapacity: entries.count <= 256)
            first = 0
        }
        return entry
    }
}
