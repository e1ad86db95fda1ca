// SPDX-License-Identifier: Apache-2.0

internal import SpindleSystem

/// A reactor's side of the mailboxes that it sends into: batches messages, so that bells ring once per batch.
@usableFromInline
@safe struct Outbox: ~Copyable {
    /// Messages after which the bell is rung at once. Measured: 50 ns a message when each rings, 7-8 ns with 16.
    @inlinable static var batchSize: Int { 16 }

    /// By receiver; raw memory, because messages are put through addresses of outlets.
    private let outlets: UnsafeMutablePointer<Outlet?>
    private let count: Int
    /// Reactors that may have been sent something that they can't see yet.
    private var pending: ContiguousArray<Int> = []

    init(reactorCount: Int) {
        count = reactorCount
        unsafe outlets = .allocate(capacity: reactorCount)
        unsafe outlets.initialize(repeating: nil, count: reactorCount)
    }

    deinit { unsafe outlets.deallocate() }

    var hasUnpublished: Bool { !pending.isEmpty }

    /// The outlet to `receiver`, made if need be. It stays where it is.
    @inline(__always)
    @unsafe func outlet(to receiver: Int, of reactor: Reactor) -> UnsafeMutablePointer<Outlet> {
        precondition(receiver >= 0 && receiver < count, "reactor \(receiver) of \(count)")
        if unsafe outlets[receiver] == nil { open(receiver, reactor) }
        // An optional that is not nil lies in memory as the value does.
        return unsafe UnsafeMutableRawPointer(outlets + receiver).assumingMemoryBound(to: Outlet.self)
    }

    @inline(never)
    private func open(_ receiver: Int, _ reactor: Reactor) {
        let ring = reactor.mailroom.ring(from: reactor.index, to: receiver)
        unsafe outlets[receiver] = Outlet(ring: ring, doorbell: reactor.mailroom.handles[receiver].doorbell)
    }

    /// A batch to `receiver` has begun, or is full.
    mutating func batchChanged(_ receiver: Int, of reactor: Reactor) {
        guard let outlet = unsafe outlets[receiver] else { return }
        if outlet.unpublishedCount >= Outbox.batchSize { return publish(to: receiver, of: reactor) }
        guard !outlet.isPending else { return }
        unsafe outlets[receiver]?.isPending = true
        pending.append(receiver)
    }

    /// Shows an unfinished batch: when the mailbox is full, the receiver could make no room for what follows.
    mutating func publishRest(to receiver: Int, of reactor: Reactor) {
        if let outlet = unsafe outlets[receiver], outlet.unpublishedCount > 0 { publish(to: receiver, of: reactor) }
    }

    /// Shows everything to its receivers and rings their bells.
    mutating func publishAll(of reactor: Reactor) {
        while let receiver = pending.popLast() {
            unsafe outlets[receiver]?.isPending = false
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
