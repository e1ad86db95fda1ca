// SPDX-License-Identifier: Apache-2.0

/// A reactor's end of the mailbox to one other reactor.
///
/// Own copies, of memory that lives as long as the mailroom: nothing that another core writes is read to find
/// them. What a message needs is inlined into the program: what waits to be stored is what limits a sender, and a
/// call alone stores half as many words as a message has.
@usableFromInline
@safe struct Outlet {
    @usableFromInline let ring: MailRing
    let receiver: Int
    let doorbell: Doorbell
    /// The bit of the receiver's bell.
    let bit: Int
    /// The list of those to publish at the end of the turn: which comes next; nil when it is not on the list.
    var nextPending: Int?

    init(ring: MailRing, to receiver: ReactorHandle, bit: Int) {
        self.ring = ring
        self.receiver = receiver.index
        doorbell = receiver.doorbell
        self.bit = bit
    }
}

/// A reactor's outlets, two for each receiver, of the ordinary lane and of the urgent one; nil for those that were not
/// used yet, and for its own.
@usableFromInline
@safe struct Outlets {
    /// Reactors: each has two numbers.
    @usableFromInline let reactorCount: Int
    /// Raw memory, found without asking anybody whether it has moved.
    @usableFromInline let outlets: UnsafeMutablePointer<Outlet?>

    init(reactorCount: Int) {
        self.reactorCount = reactorCount
        unsafe outlets = .allocate(capacity: 2 * reactorCount)
        unsafe outlets.initialize(repeating: nil, count: 2 * reactorCount)
    }

    func deallocate() {
        unsafe outlets.deinitialize(count: 2 * reactorCount)
        unsafe outlets.deallocate()
    }

    subscript(number: Int) -> Outlet? {
        @inline(__always) get {
            precondition(number >= 0 && number < 2 * reactorCount, "outlet \(number) of \(2 * reactorCount)")
            return unsafe outlets[number]
        }
        nonmutating set {
            precondition(number >= 0 && number < 2 * reactorCount, "outlet \(number) of \(2 * reactorCount)")
            unsafe outlets[number] = newValue
        }
    }

    /// The number of the outlet to `receiver`.
    func number(of receiver: Int, _ lane: MailLane) -> Int { receiver &<< 1 | (lane == .urgent ? 1 : 0) }

    /// The mailbox to `receiver`, when it is open.
    @inlinable
    @inline(__always)
    func ring(to receiver: Int, lane: UInt32) -> MailRing? {
        guard receiver >= 0, receiver < reactorCount else { return nil }
        return unsafe outlets[receiver &<< 1 | Int(truncatingIfNeeded: lane)]?.ring
    }
}
