// SPDX-License-Identifier: Apache-2.0

internal import SpindleCore
internal import SpindleSystem

extension Reactor {
    /// Takes what other threads have sent, when the doorbell says that there is something.
    func drainMail() {
        guard doorbell.isRung else { return }
        takeMail()
        recorder.end(.mail)
    }

    /// Looks into the mailboxes whose bits are set, and into no others: idle peers cost nothing.
    func takeMail() {
        var look = MailLook()
        // The last word first, which has the bit of the urgent lanes.
        var word = doorbell.wordCount
        while word > 0 {
            word -= 1
            takeMail(of: doorbell.take(word: word), word, &look)
        }
    }

    /// The same for a reactor that has nothing else to do: what messages lead to is shown before anything is tidied
    /// up. The bits are cleared afterwards, which has to wait for the other core, and then looked for again; and
    /// whoever sent last is looked at without waiting for the bell.
    ///
    /// - Returns: True when there was something.
    @discardableResult
    func answerMail() -> Bool {
        var look = MailLook(answers: true)
        if doorbell.isRung(handle.urgentBit) { takeUrgentMail(&look) }
        if intake.lastHasMessage { takeMail(from: intake.lastSender, &look) }
        guard doorbell.isRung, !look.budgetEnded else { return look.taken > 0 }
        for word in 0..<doorbell.wordCount { takeMail(of: doorbell.load(word: word), word, &look) }
        // The bits stay where a budget ended: the rest comes in the mail phase.
        guard !look.budgetEnded else { return true }
        for word in 0..<doorbell.wordCount { takeMail(of: doorbell.take(word: word), word, &look) }
        flushMail()
        return look.taken > 0
    }

    private func takeMail(of bits: UInt64, _ word: Int, _ look: inout MailLook) {
        var bits = bits
        if word == handle.urgentBit >> 6, bits >> UInt64(handle.urgentBit & 63) != 0 {
            bits &= ~(1 << UInt64(handle.urgentBit & 63))
            if strikes(.patientUrgency) { _ = doorbell.ring(handle.urgentBit) } else { takeUrgentMail(&look) }
        }
        while bits != 0 {
            let sender = word << 6 + bits.trailingZeroBitCount
            bits &= bits - 1
            if sender == handle.inboxBit { takeInbox(&look) } else { takeMail(from: sender, &look) }
        }
    }

    /// Looks into the urgent lanes of all senders: one bit stands for them.
    @inline(never)
    private func takeUrgentMail(_ look: inout MailLook) {
        for sender in mailroom.handles.indices where sender != index {
            guard let ring = intake.urgentRing(from: sender, to: index, mailroom) else { continue }
            // All of it, which is as much as the lane holds: what it leaves the ordinary mail would overtake.
            takeMail(in: ring, from: sender, handle.urgentBit, limit: configuration.urgentCapacity, &look)
        }
    }

    private func takeMail(from sender: Int, _ look: inout MailLook) {
        guard let ring = intake.ring(from: sender, to: index, mailroom) else { return }
        takeMail(in: ring, from: sender, sender, limit: configuration.mailBudget, &look)
    }

    /// - Parameters:
    ///   - bit: What tells of the mailbox.
    ///   - limit: Messages to take at most.
    @inline(__always)
    private func takeMail(in ring: MailRing, from sender: Int, _ bit: Int, limit: Int, _ look: inout MailLook) {
        var left = limit
        while let (channel, _) = unsafe ring.next() {
            guard left > 0 else {
                // The rest comes in a later phase; the own bit remembers it.
                counters.add(.mailBudgetExhausted)
                look.budgetEnded = true
                if !strikes(.forgottenRest) { _ = doorbell.ring(bit) }
                break
            }
            var run = MailRun(of: channel, in: ring, from: sender, limit: left)
            do { try intake.receiver(of: channel, mailroom).receive(&run) } catch {
                log.write(LogRecord(level: .error, message: "a channel's handler threw \(error)", reactor: index))
            }
            left -= run.taken
            guard look.answers else { continue }
            // Who came to do something here goes back at once. Whoever gets the answer finds room for what it sends
            // next.
            if !tasks.isEmpty { runTasks(atMost: Reactor.tasksPerEvent) }
            ring.release()
            flushMail()
        }
        if !strikes(.unreleasedSlots, every: 1) { ring.release() }
        let taken = limit - left
        look.taken += taken
        counters.add(.mailReceived, taken)
    }

    /// Takes the jobs of foreign threads, when those that were taken before have run.
    private func takeInbox(_ look: inout MailLook) {
        // The rest stays where its number is limited; the bit remembers it.
        guard jobs.foreign.count < configuration.jobBudget else {
            look.budgetEnded = true
            _ = doorbell.ring(handle.inboxBit)
            return
        }
        var reversed: [InboxJob] = []
        let taken = handle.inbox.takeAll { job in
            if strikes(.reversedInbox) { reversed.append(job) } else { take(job) }
        }
        for job in reversed.reversed() { take(job) }
        look.taken += taken
        counters.add(.inboxJobs, taken)
    }

    private func take(_ job: InboxJob) {
        switch job.work {
        case .closure(let closure): jobs.foreign.append(closure)
        case .task(let task): tasks.append(task)
        }
    }

    /// Shows this turn's messages to their receivers.
    func flushMail() {
        if outbox.hasUnpublished { outbox.publishAll(of: self) }
    }

    /// Wakes a reactor that slept when its bell was rung.
    func wake(_ receiver: Int) {
        counters.add(.wakeupsSent)
        mailroom.handles[receiver].wake()
    }

    /// Hands an accepted socket to the reactor that should have it, before anything was built for it.
    ///
    /// - Returns: False when that is this one, or the other's mailbox is full: the connection stays here.
    func handOver(_ socket: SocketHandle, peer: SocketAddress, _ acceptor: Acceptor, _ balance: Balance) -> Bool {
        let target = balance.target(from: index)
        guard target != index else { return false }
        let message = HandedOverSocket(socket: socket, listenerID: acceptor.listenerID, peer: peer)
        let receiver = mailroom.handles[target]
        receiver.addToLoad()
        guard balance.channel.send(message, to: target) == .sent else {
            receiver.takeFromLoad()
            return false
        }
        counters.add(.handedOver)
        return true
    }

    /// Takes over a socket that another reactor has accepted.
    package func adopt(_ message: HandedOverSocket) {
        let acceptor = acceptors.lazy.compactMap { $0 }.first { $0.listenerID == message.listenerID }
        guard let acceptor, !acceptor.isClosed, table.count < configuration.maximumConnections else {
            counters.add(.refused)
            handle.takeFromLoad()
            return driver.close(message.socket, reset: false)
        }
        adopt(message.socket, peer: message.peer, acceptor, acceptor.use.factory.buildProtocol)
    }
}

/// One look at the mail.
private struct MailLook {
    /// What messages lead to is shown at once.
    var answers = false
    /// Messages and jobs.
    var taken = 0
    /// There is more than a look may take.
    var budgetEnded = false
}

/// An accepted connection on its way to the reactor that will serve it.
package struct HandedOverSocket: Sendable {
    /// The socket; whoever does not deliver it has to close it.
    package let socket: SocketHandle
    let listenerID: Int
    let peer: SocketAddress
}
