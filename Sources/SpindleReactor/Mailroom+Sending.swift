// SPDX-License-Identifier: Apache-2.0

internal import SpindleSystem

/// The sender's side of a channel, without its message type: one copy for all, so that only what depends on the
/// type is inlined into programs.
extension Mailroom {
    /// The way from the calling thread's reactor to `receiver`, or nil when there is none but a job's.
    @usableFromInline
    @unsafe func outlet(to receiver: Int) -> UnsafeMutablePointer<Outlet>? {
        unsafe withSender(to: receiver) { unsafe $0.outbox.outlet(to: receiver, of: $0) }
    }

    /// `Outlet.commit` said so.
    @usableFromInline
    func batchChanged(_ receiver: Int) {
        withSender(to: receiver) { $0.outbox.batchChanged(receiver, of: $0) }
    }

    /// Why there was no room; nil when no mailbox leads from the calling thread to `receiver`.
    func refusal(to receiver: Int) -> SubmitResult? {
        withSender(to: receiver) { reactor in
            reactor.counters.add(.mailFull)
            reactor.outbox.publishRest(to: receiver, of: reactor)
            return handles[receiver].isStopped ? .stopped : .full
        }
    }

    /// Calls `body` with the calling thread's reactor, when that is another reactor of the same engine.
    @inline(__always)
    private func withSender<Result>(to receiver: Int, _ body: (Reactor) -> Result) -> Result? {
        guard let pointer = unsafe SystemThread.local else { return nil }
        // The mark is set by the reactor itself and taken back before it goes.
        return unsafe Unmanaged<Reactor>.fromOpaque(pointer)._withUnsafeGuaranteedRef { reactor in
            guard reactor.mailroom === self, reactor.index != receiver else { return nil }
            return body(reactor)
        }
    }
}
