// SPDX-License-Identifier: Apache-2.0

/// The mailboxes that a reactor takes from, by sender, and what takes their messages out, by channel: own copies,
/// made when the first message comes.
struct MailIntake {
    private var rings: ContiguousArray<MailRing?> = []
    private var urgentRings: ContiguousArray<MailRing?> = []
    private var receivers: ContiguousArray<MailReceiver?> = []
    /// Whose mailbox was looked into last.
    private(set) var lastSender = 0

    /// The mailbox from `sender` to `reactor`, or nil when it was never used.
    @inline(__always)
    mutating func ring(from sender: Int, to reactor: Int, _ mailroom: Mailroom) -> MailRing? {
        lastSender = sender
        if sender < rings.count, let ring = rings[sender] { return ring }
        return find(sender, to: reactor, mailroom)
    }

    @inline(never)
    private mutating func find(_ sender: Int, to reactor: Int, _ mailroom: Mailroom) -> MailRing? {
        while rings.count <= sender { rings.append(nil) }
        rings[sender] = mailroom.existingRing(from: sender, to: reactor)
        return rings[sender]
    }

    /// The mailbox of the urgent lane from `sender` to `reactor`, or nil when it was never used.
    mutating func urgentRing(from sender: Int, to reactor: Int, _ mailroom: Mailroom) -> MailRing? {
        while urgentRings.count <= sender { urgentRings.append(nil) }
        if urgentRings[sender] == nil {
            urgentRings[sender] = mailroom.existingRing(from: sender, to: reactor, .urgent)
        }
        return urgentRings[sender]
    }

    /// True when there is a message in the mailbox that was looked into last: seen a transfer of the bell's line, and
    /// the wait for it, earlier than by the bell.
    @inline(__always)
    var lastHasMessage: Bool { lastSender < rings.count && rings[lastSender]?.hasMessage ?? false }

    /// What takes out the messages of `channel`. Kept for as long as the intake is.
    @inline(__always)
    mutating func receiver(of channel: UInt32, _ mailroom: Mailroom) -> BorrowedReceiver {
        let index = Int(channel)
        if index < receivers.count, let receiver = receivers[index] { return BorrowedReceiver(receiver) }
        return BorrowedReceiver(makeReceiver(of: channel, mailroom))
    }

    @inline(never)
    private mutating func makeReceiver(of channel: UInt32, _ mailroom: Mailroom) -> MailReceiver {
        let index = Int(channel)
        while receivers.count <= index { receivers.append(nil) }
        let receiver = mailroom.makeReceiver(channel)
        receivers[index] = receiver
        return receiver
    }
}
