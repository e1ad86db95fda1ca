// SPDX-License-Identifier: Apache-2.0

/// A reactor's end of the mailbox to one other reactor.
///
/// Own copies, of memory that lives as long as the mailroom: nothing that another core writes is read to find
/// them. What a message needs is inlined into the program: a call costs as many stores as the message has words,
/// and what waits to be stored is what limits a sender.
@usableFromInline
@safe struct Outlet {
    @usableFromInline let ring: MailRing
    let doorbell: Doorbell
    /// Messages that the receiver can't see yet.
    @usableFromInline var unpublishedCount = 0
    /// On the list of those to publish at the end of the turn.
    var isPending = false

    init(ring: MailRing, doorbell: Doorbell) {
        self.ring = ring
        self.doorbell = doorbell
    }

    /// The room that the ring gave is filled.
    ///
    /// - Returns: True when the batch begins or is full: `Mailroom.batchChanged` has to know.
    @inlinable
    mutating func commit() -> Bool {
        ring.commit()
        unpublishedCount += 1
        return unpublishedCount == 1 || unpublishedCount == Outbox.batchSize
    }
}
