// SPDX-License-Identifier: Apache-2.0

internal import SpindleSystem

/// A reactor's side of the mailboxes that it sends into: batches messages, so that bells ring once per batch.
@usableFromInline
@safe struct Outbox: ~Copyable {
    /// Messages after which the bell is rung at once. Measured: 50 ns a message when each rings, 7-8 ns with 16.
    @inlinable static var batchSize: Int { 16 }

    /// By receiver, those that are open; raw memory, because messages are put through addresses of outlets.
    private let outlets: UnsafeMutablePointer<Outlet>
    private var isOpen: ContiguousArray<Bool>
    private var count: Int { isOpen.count }
    /// Reactors that may have been sent something that they can't see yet.
    private var pending: ContiguousArray<Int> = []

    init(reactorCount: Int) {
        unsafe outlets = .allocate(capacity: reactorCount)
        isOpen = ContiguousArray(repeating: false, count: reactorCount)
    }

    deinit {
        for receiver in isOpen.indices where isOpen[receiver] { unsafe (outlets + receiver).deinitialize(count: 1) }
        unsafe outlets.deallocate()
    }

    var hasUnpublished: Bool { !pending.isEmpty }

    /// The outlet to `receiver`, made if need be. It stays where it is.
    @inline(__always)
    @unsafe mutating func outlet(to receiver: Int, of reactor: Reactor) -> UnsafeMutablePointer<Outlet> {
        precondition(receiver >= 0 && receiver < count, "reactor \(receiver) of \(count)")
        if !isOpen[receiver] { open(receiver, reactor) }
        return unsafe outlets + receiver
    }

    @inline(never)
    private mutating func open(_ receiver: Int, _ reactor: Reactor) {
        let ring = reactor.mailroom.ring(from: reactor.index, to: receiver)
        let outlet = Outlet(ring: ring, doorbell: reactor.mailroom.handles[receiver].doorbell)
        unsafe (outlets + receiver).initialize(to: outlet)
        isOpen[receiver] = true
    }

    /// A batch to `receiver` has begun, or is full.
    mutating func batchChanged(_ receiver: Int, of reactor: Reactor) {
        let outlet = unsafe outlet(to: receiver, of: reactor)
        if unsafe outlet.pointee.unpublishedCount >= Outbox.batchSize { return publish(to: receiver, of: reactor) }
        guard unsafe !outlet.pointee.isPending else { return }
        unsafe outlet.pointee.isPending = true
        pending.append(receiver)
    }

    /// Shows an unfinished batch: when the mailbox is full, the receiver could make no room for what follows.
    mutating func publishRest(to receiver: Int, of reactor: Reactor) {
        if unsafe outlet(to: receiver, of: reactor).pointee.unpublishedCount > 0 { publish(to: receiver, of: reactor) }
    }

    /// Shows everything to its receivers and rings their bells.
    mutating func publishAll(of reactor: Reactor) {
        while let receiver = pending.popLast() {
            unsafe outlet(to: receiver, of: reactor).pointee.isPending = false
            publishRest(to: receiver, of: reactor)
        }
    }

    private mutating func publish(to receiver: Int, of reactor: Reactor) {
        let outlet = unsafe outlet(to: receiver, of: reactor)
        unsafe outlet.pointee.ring.publish()
        unsafe reactor.counters.add(.mailSent, outlet.pointee.unpublishedCount)
        unsafe outlet.pointee.unpublishedCount = 0
        if unsafe outlet.pointee.doorbell.ring(reactor.index) { reactor.wake(receiver) }
    }
}
