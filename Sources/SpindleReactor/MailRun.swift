// SPDX-License-Identifier: Apache-2.0

/// Messages of one channel that follow each other in a mailbox: the receiver's loop over them is compiled where
/// their type is known.
@usableFromInline
@safe struct MailRun {
    @usableFromInline let ring: MailRing
    @usableFromInline let channel: UInt32
    /// The index of the reactor that sent them.
    @usableFromInline let sender: Int
    /// The most messages that may be taken.
    @usableFromInline let limit: Int
    /// How many were taken.
    @usableFromInline var taken = 0

    init(of channel: UInt32, in ring: MailRing, from sender: Int, limit: Int) {
        self.ring = ring
        self.channel = channel
        self.sender = sender
        self.limit = limit
    }

    /// Moves the next message out, or nil at the end of the run.
    @inlinable
    @inline(__always)
    mutating func take<Message>(_: Message.Type) -> Message? {
        guard taken < limit, let (channel, payload) = unsafe ring.next(), channel == self.channel else { return nil }
        taken += 1
        let message: Message = unsafe Envelope.take(payload)
        ring.consume()
        return message
    }
}
