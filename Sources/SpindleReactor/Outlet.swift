// SPDX-License-Identifier: Apache-2.0

/// A reactor's end of the mailbox to one other reactor.
///
/// Own copies, of memory that lives as long as the mailroom: nothing that another core writes is read to find
/// them. What a message needs is inlined into the program: what waits to be stored is what limits a sender, and a
/// call alone stores half as many words as a message has.
@usableFromInline
@safe struct Outlet {
    @usableFromInline let ring: MailRing
    let doorbell: Doorbell
    /// The list of those to publish at the end of the turn: which comes next; nil when it is not on the list.
    var nextPending: Int?

    init(ring: MailRing, doorbell: Doorbell) {
        self.ring = ring
        self.doorbell = doorbell
    }
}

/// A reactor's outlets by receiver; nil for those that were not used yet, and for its own.
@usableFromInline
@safe struct Outlets {
    @usableFromInline let count: Int
    /// Raw memory, found without asking anybody whether it has moved.
    @usableFromInline let outlets: UnsafeMutablePointer<Outlet?>

    init(count: Int) {
        self.count = count
        unsafe outlets = .allocate(capacity: count)
        unsafe outlets.initialize(repeating: nil, count: count)
    }

    func deallocate() {
        unsafe outlets.deinitialize(count: count)
        unsafe outlets.deallocate()
    }

    subscript(receiver: Int) -> Outlet? {
        @inline(__always) get {
            precondition(receiver >= 0 && receiver < count, "reactor \(receiver) of \(count)")
            return unsafe outlets[receiver]
        }
        nonmutating set {
            precondition(receiver >= 0 && receiver < count, "reactor \(receiver) of \(count)")
            unsafe outlets[receiver] = newValue
        }
    }

    /// The mailbox to `receiver`, when it is open.
    @inlinable
    @inline(__always)
    func ring(to receiver: Int) -> MailRing? {
        guard receiver >= 0, receiver < count else { return nil }
        return unsafe outlets[receiver]?.ring
    }
}
