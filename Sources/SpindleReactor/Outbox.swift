// SPDX-License-Identifier: Apache-2.0

internal import SpindleSystem

/// A reactor's side of the mailboxes that it sends into: batches messages, so that bells ring once per batch.
@usableFromInline
@safe struct Outbox: ~Copyable {
    /// Messages after which the bell is rung at once. Measured: 50 ns a message when each rings, 7-8 ns with 16.
    @inlinable static var batchSize: Int { 16 }

    /// What is sent into, by receiver.
    let outlets: Outlets
    /// Of the reactors that may have been sent something that they can't see yet, the one that was added last; the
    /// others follow through their outlets.
    private var firstPending = Outbox.end
    private static var end: Int { -1 }

    init(reactorCount: Int) { outlets = Outlets(count: reactorCount) }

    deinit { outlets.deallocate() }

    var hasUnpublished: Bool { firstPending != Outbox.end }

    /// Makes the mailbox to `receiver`.
    ///
    /// - Returns: False when it is there already.
    mutating func open(_ receiver: Int, of reactor: Reactor) -> Bool {
        guard outlets[receiver] == nil else { return false }
        let ring = reactor.mailroom.ring(from: reactor.index, to: receiver)
        outlets[receiver] = Outlet(ring: ring, doorbell: reactor.mailroom.handles[receiver].doorbell)
        return true
    }

    /// A batch to `receiver` has begun, or is full.
    mutating func batchChanged(_ receiver: Int, of reactor: Reactor) {
        guard let outlet = outlets[receiver] else { return }
        if outlet.ring.unpublishedCount >= Outbox.batchSize { return publish(to: receiver, of: reactor) }
        guard outlet.nextPending == nil else { return }
        outlets[receiver]?.nextPending = firstPending
        firstPending = receiver
    }

    /// Shows everything to its receivers and rings their bells.
    mutating func publishAll(of reactor: Reactor) {
        while firstPending != Outbox.end {
            let receiver = firstPending
            guard let next = outlets[receiver]?.nextPending else { preconditionFailure("a list with a hole") }
            outlets[receiver]?.nextPending = nil
            firstPending = next
            publish(to: receiver, of: reactor)
        }
    }

    /// Shows what is left of a batch: also when the mailbox is full, or the receiver could make no room.
    mutating func publish(to receiver: Int, of reactor: Reactor) {
        guard let outlet = outlets[receiver] else { return }
        let count = outlet.ring.unpublishedCount
        guard count > 0 else { return }
        outlet.ring.publish()
        if outlet.doorbell.ring(reactor.index) { reactor.wake(receiver) }
        // After the ring, which waits for all that was stored before it.
        reactor.counters.add(.mailSent, count)
    }
}
