// SPDX-License-Identifier: Apache-2.0

/// The connections of one reactor, by slot.
///
/// A slot is 16 bytes and is reused last-in first-out, with a new generation each time, so that an event of an
/// earlier registration is recognised. The table grows as needed and never shrinks.
struct ConnectionTable {
    private struct Slot {
        /// Counts the removals from this slot.
        var generation: UInt32 = 0
        /// The next free slot, when this one is free.
        var nextFree: UInt32 = ConnectionTable.none
        var connection: Connection?
    }

    private static let none = UInt32.max
    private var slots: ContiguousArray<Slot> = []
    private var firstFree = none
    /// Connections that were removed and may still be in use further up the stack.
    private var removed: ContiguousArray<Connection> = []
    private(set) var count = 0

    /// The token that the next `insert` will use.
    var nextToken: EventToken {
        firstFree == ConnectionTable.none
            ? EventToken(slot: UInt32(slots.count), generation: 0)
            : EventToken(slot: firstFree, generation: slots[Int(firstFree)].generation)
    }

    /// Puts `connection`, whose token must be `nextToken`, into its slot.
    mutating func insert(_ connection: Connection) {
        precondition(connection.token == nextToken, "token \(connection.token) is not \(nextToken)")
        if firstFree == ConnectionTable.none {
            slots.append(Slot(connection: connection))
        } else {
            let index = Int(firstFree)
            firstFree = slots[index].nextFree
            slots[index].connection = connection
        }
        count += 1
    }

    /// The connection an event is for, or nil when that registration is gone.
    @inline(__always)
    func resolve(_ token: EventToken) -> BorrowedConnection? {
        let index = Int(token.slot)
        guard index < slots.count, slots[index].generation == token.generation,
            let connection = slots[index].connection
        else { return nil }
        return BorrowedConnection(connection)
    }

    /// Loads the connection's first cache line soon.
    @inline(__always)
    func prefetch(_ token: EventToken) {
        let index = Int(token.slot)
        guard index < slots.count, let connection = slots[index].connection else { return }
        BorrowedConnection(connection).prefetch()
    }

    mutating func remove(_ token: EventToken) {
        let index = Int(token.slot)
        guard index < slots.count, slots[index].generation == token.generation,
            let connection = slots[index].connection.take()
        else { preconditionFailure("no connection for \(token)") }
        removed.append(connection)
        slots[index].generation &+= 1
        slots[index].nextFree = firstFree
        firstFree = token.slot
        count -= 1
    }

    /// True while connections that were removed wait to be let go of.
    var hasRemoved: Bool { !removed.isEmpty }

    /// The connections that were removed, for the caller to let go of: between callbacks, when nobody uses them.
    @inline(__always)
    mutating func takeRemoved() -> ContiguousArray<Connection> {
        var taken = ContiguousArray<Connection>()
        swap(&taken, &removed)
        return taken
    }

    /// Every connection, in the order of slots.
    var all: [Connection] { slots.compactMap(\.connection) }

    func checkInvariants() {
        var free = 0
        var index = firstFree
        while index != ConnectionTable.none {
            precondition(slots[Int(index)].connection == nil, "slot \(index) is free and in use")
            free += 1
            precondition(free <= slots.count, "the free list is a circle")
            index = slots[Int(index)].nextFree
        }
        precondition(free + count == slots.count, "\(free) free + \(count) used != \(slots.count) slots")
    }
}
