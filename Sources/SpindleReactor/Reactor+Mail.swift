// SPDX-License-Identifier: Apache-2.0

internal import SpindleCore

extension Reactor {
    /// Takes what other threads have sent, when the doorbell says that there is something.
    func drainMail() {
        guard doorbell.isRung else { return }
        takeMail()
        recorder.end(.mail)
    }

    /// Looks into the mailboxes whose bits are set, and into no others: idle peers cost nothing.
    func takeMail() {
        for word in 0..<doorbell.wordCount { takeMail(of: doorbell.take(word: word), word) }
    }

    /// The same for a reactor that has nothing else to do: what the messages lead to is shown before anything is
    /// tidied up. The bits are cleared afterwards, which has to wait for the other core, and then looked for again;
    /// and whoever sent last is looked at without waiting for the bell.
    func answerMail() {
        if intake.lastHasMessage { takeMail(from: intake.lastSender, true) }
        guard doorbell.isRung else { return }
        for word in 0..<doorbell.wordCount { takeMail(of: doorbell.load(word: word), word, answering: true) }
        takeMail()
        flushMail()
    }

    private func takeMail(of bits: UInt64, _ word: Int, answering: Bool = false) {
        var bits = bits
        while bits != 0 {
            let sender = word << 6 + bits.trailingZeroBitCount
            bits &= bits - 1
            if sender == handle.inboxBit { takeInbox() } else { takeMail(from: sender, answering) }
        }
    }

    private func takeMail(from sender: Int, _ answering: Bool) {
        guard let ring = intake.ring(from: sender, to: index, mailroom) else { return }
        var left = configuration.mailBudget
        while let (channel, _) = unsafe ring.next() {
            guard left > 0 else {
                // The rest comes in a later phase; the own bit remembers it.
                counters.add(.mailBudgetExhausted)
                _ = doorbell.ring(sender)
                break
            }
            var run = MailRun(of: channel, in: ring, from: sender, limit: left)
            do { try intake.receiver(of: channel, mailroom).receive(&run) } catch {
                log.write(LogRecord(level: .error, message: "a channel's handler threw \(error)", reactor: index))
            }
            left -= run.taken
            if answering { flushMail() }
        }
        ring.release()
        counters.add(.mailReceived, configuration.mailBudget - left)
    }

    /// Takes the jobs of foreign threads, when those that were taken before have run.
    private func takeInbox() {
        // The rest stays where its number is limited; the bit remembers it.
        guard jobs.foreign.count < configuration.jobBudget else {
            _ = doorbell.ring(handle.inboxBit)
            return
        }
        let taken = handle.inbox.takeAll()
        counters.add(.inboxJobs, taken.count)
        for job in taken { jobs.foreign.append(job) }
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

    /// Hands an accepted socket to another reactor before anything was built for it.
    ///
    /// - Returns: False when that reactor's mailbox is full: the connection stays here.
    func handOver(_ socket: SocketHandle, peer: SocketAddress, _ acceptor: Acceptor, to target: Int) -> Bool {
        guard target != index, let channel = acceptor.handOver else { return false }
        let message = HandedOverSocket(socket: socket, listenerID: acceptor.listenerID, peer: peer)
        guard channel.send(message, to: target) == .sent else { return false }
        counters.add(.handedOver)
        return true
    }

    /// Takes over a socket that another reactor has accepted.
    package func adopt(_ message: HandedOverSocket) {
        let acceptor = acceptors.lazy.compactMap { $0 }.first { $0.listenerID == message.listenerID }
        guard let acceptor, !acceptor.isClosed, table.count < configuration.maximumConnections else {
            counters.add(.refused)
            return driver.close(message.socket, reset: false)
        }
        adopt(message.socket, peer: message.peer, acceptor)
    }
}

/// An accepted connection on its way to the reactor that will serve it.
package struct HandedOverSocket: Sendable {
    /// The socket; whoever does not deliver it has to close it.
    package let socket: SocketHandle
    let listenerID: Int
    let peer: SocketAddress
}
