// SPDX-License-Identifier: Apache-2.0

internal import SpindleSystem

/// A reactor's side of the mailboxes that it sends into: batches messages, so that bells ring once per batch.
@usableFromInline
@safe struct Outbox: ~Copyable {
    /// Messages after which the bell is rung at once. Measured: 50 ns a message when each rings, 7-8 ns with 16.
    @inlinable static var batchSize: Int { 16 }

    /// What is sent into, by receiver.
    let outlets: Outlets
    /// Of the outlets with something that can't be seen yet, the one that was added last; the others follow from it.
    private var firstPending = Outbox.end
    private static var end: Int { -1 }

    init(reactorCount: Int) { outlets = Outlets(reactorCount: reactorCount) }

    deinit { outlets.deallocate() }

    var hasUnpublished: Bool { firstPending != Outbox.end }

    /// Makes the mailbox to `receiver`.
    ///
    /// - Returns: False when it is there already.
    mutating func open(_ receiver: Int, _ lane: MailLane, of reactor: Reactor) -> Bool {
        let number = outlets.number(of: receiver, lane)
        guard outlets[number] == nil else { return false }
        let ring = reactor.mailroom.ring(from: reactor.index, to: receiver, lane)
        let handle = reactor.mailroom.handles[receiver]
        let bit = lane == .urgent ? handle.urgentBit : reactor.index
        outlets[number] = Outlet(ring: ring, to: handle, bit: bit)
        return true
    }

    /// A batch to `receiver` has begun, or is full. Of the urgent lane each message is a batch.
    mutating func batchChanged(_ receiver: Int, _ lane: MailLane, of reactor: Reactor) {
        let number = outlets.number(of: receiver, lane)
        guard let outlet = outlets[number] else { return }
        if lane == .urgent || outlet.ring.unpublishedCount >= Outbox.batchSize { return publish(number, of: reactor) }
        guard outlet.nextPending == nil else { return }
        outlets[number]?.nextPending = firstPending
        firstPending = number
    }

    /// Shows everything to its receivers and rings their bells.
    mutating func publishAll(of reactor: Reactor) {
        while firstPending != Outbox.end {
            let number = firstPending
            guard let next = outlets[number]?.nextPending else { preconditionFailure("a list with a hole") }
            outlets[number]?.nextPending = nil
            firstPending = next
            publish(number, of: reactor)
        }
    }

    /// Shows what is left of a batch: also when the mailbox is full, or the receiver could make no room.
    mutating func publish(_ number: Int, of reactor: Reactor) {
        guard let outlet = outlets[number] else { return }
        let count = outlet.ring.unpublishedCount
        guard count > 0 else { return }
        outlet.ring.publish()
        if !reactor.strikes(.unrungBell), outlet.doorbell.ring(outlet.bit), !reactor.strikes(.unwokenSleeper) {
            reactor.wake(outlet.receiver)
        }
        // After the ring, which waits for all that was stored before it.
        reactor.counters.add(.mailSent, count)
    }
}
