// SPDX-License-Identifier: Apache-2.0

public import SpindleSystem

/// Names a mailroom without counting references to it, so that what holds one may be copied on every core.
///
/// It is the address of an object that is never destroyed (about 100 bytes for each engine of the process), which
/// knows the mailroom for as long as that lives.
@usableFromInline
@safe struct MailroomKey: Equatable, Sendable, BitwiseCopyable {
    // Sendable: set once, by the mailroom's initialiser; the runtime makes reading a weak reference atomic.
    @usableFromInline
    final class Door: @unchecked Sendable {
        // tidy: allow banned: read by threads that are no reactors of the engine, and by nobody else
        weak var mailroom: Mailroom?
    }

    private static let doors = Guarded<[Door]>([])
    @usableFromInline let door: Unmanaged<Door>

    init() {
        let door = Door()
        MailroomKey.doors.withLock { $0.append(door) }
        unsafe self.door = .passUnretained(door)
    }

    /// To be called once.
    func open(_ mailroom: Mailroom) { unsafe door._withUnsafeGuaranteedRef { $0.mailroom = mailroom } }

    /// Nil when it is gone.
    var mailroom: Mailroom? { unsafe door._withUnsafeGuaranteedRef { $0.mailroom } }

    @inlinable
    static func == (left: MailroomKey, right: MailroomKey) -> Bool {
        unsafe left.door.toOpaque() == right.door.toOpaque()
    }
}

/// The sender's side of a channel, without its message type: only what depends on the type, and the path of a
/// message that is neither a batch's first nor its last, is inlined into programs.
extension MailroomKey {
    /// The mailbox from the calling thread's reactor to `receiver`, when it is open.
    @inlinable
    @inline(__always)
    func ring(to receiver: Int, lane: UInt32) -> MailRing? {
        withSender { $0.outlets.ring(to: receiver, lane: lane) }
    }

    /// Opens that mailbox.
    ///
    /// - Returns: False when it was open, or when there is none.
    @usableFromInline
    func open(_ receiver: Int, _ lane: MailLane) -> Bool {
        withSender { $0.index == receiver ? nil : $0.outbox.open(receiver, lane, of: $0) } ?? false
    }

    /// `MailRing.commit` said so.
    @usableFromInline
    func batchChanged(_ receiver: Int, _ lane: MailLane) {
        withSender { $0.outbox.batchChanged(receiver, lane, of: $0) }
    }

    /// Why there was no room; nil when no mailbox leads from the calling thread to `receiver`.
    @usableFromInline
    func refusal(to receiver: Int, _ lane: MailLane) -> SubmitResult? {
        withSender { reactor in
            guard reactor.index != receiver else { return nil }
            reactor.counters.add(.mailFull)
            reactor.outbox.publish(reactor.outlets.number(of: receiver, lane), of: reactor)
            return reactor.mailroom.handles[receiver].isStopped ? .stopped : .full
        }
    }

    /// The calling thread's reactor and what it has for the messages of `channel`; nil on a thread that is none.
    func own(_ channel: UInt32) -> (receiver: BorrowedReceiver, handle: ReactorHandle)? {
        withSender { ($0.intake.receiver(of: channel, $0.mailroom), $0.handle) }
    }

    /// Calls `body` with the calling thread's reactor, when that is one of this mailroom's.
    @inlinable
    @inline(__always)
    func withSender<Result>(_ body: (Reactor) -> Result?) -> Result? {
        guard let pointer = unsafe SystemThread.local else { return nil }
        // The mark is set by the reactor itself and taken back before it goes.
        return unsafe Unmanaged<Reactor>.fromOpaque(pointer)._withUnsafeGuaranteedRef { reactor in
            reactor.mailroomKey == self ? body(reactor) : nil
        }
    }
}
