// SPDX-License-Identifier: Apache-2.0

internal import SpindleCore

extension Reactor {
    /// Takes what other threads have sent, when the doorbell says that there is something.
    func drainMail() {
        guard handle.doorbell.isRung else { return }
        recorder.begin(.mail)
        takeMail()
        recorder.end(.mail)
    }

    func takeMail() {
        for word in 0..<handle.doorbell.wordCount {
            let bits = handle.doorbell.take(word: word)
            guard bits != 0 else { continue }
            takeInbox()
        }
    }

    /// Jobs of foreign threads join the local ones: those queued before this moment run in this turn's order.
    private func takeInbox() {
        let taken = handle.inbox.takeAll()
        counters.add(.inboxJobs, taken.count)
        for job in taken { jobs.append(job) }
    }

    func flushMail() {}

    func handOver(_ handle: SocketHandle, peer: SocketAddress, _ acceptor: Acceptor, to target: Int) -> Bool { false }
}
