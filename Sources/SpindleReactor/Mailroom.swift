// SPDX-License-Identifier: Apache-2.0

internal import SpindleSystem
internal import Synchronization

/// What the reactors of an engine share: their handles, the mailboxes between them, and the channels' receivers.
///
/// Opaque to programs. A mailbox exists once its producer has used it, so N reactors that talk to few others need
/// few of the N×(N-1).
// Sendable: handles are immutable; a mailbox's pointer is atomic and set once, by its one producer.
@safe public final class Mailroom: @unchecked Sendable {
    package let handles: [ReactorHandle]
    private let capacity: Int
    private let urgentCapacity: Int
    private let nodes: [Int?]
    private let mailboxes: UnsafeMutablePointer<Atomic<UnsafeMutableRawPointer?>>
    private let channels = Guarded<[@Sendable () -> MailReceiver]>([])
    /// Carries tasks from reactor to reactor.
    private(set) var hops: Channel<UnownedJob>!
    /// What channels know this mailroom by.
    @usableFromInline let key = MailroomKey()

    /// - Parameters:
    ///   - reactorCount: At least 1.
    ///   - nodes: The NUMA node of each reactor, or nil where it does not matter.
    package init(reactorCount: Int, configuration: ReactorConfiguration, nodes: [Int?]? = nil) {
        precondition(reactorCount > 0, "an engine has at least one reactor")
        let nodes = nodes ?? Array(repeating: nil, count: reactorCount)
        handles = (0..<reactorCount).map {
            ReactorHandle(index: $0, reactorCount: reactorCount, configuration: configuration, node: nodes[$0])
        }
        capacity = configuration.mailboxCapacity
        urgentCapacity = configuration.urgentCapacity
        self.nodes = nodes
        let count = 2 * reactorCount * reactorCount
        unsafe mailboxes = .allocate(capacity: count)
        for index in 0..<count { unsafe (mailboxes + index).initialize(to: Atomic(nil)) }
        key.open(self)
        hops = Channel(self) { [handles] task, receiver in
            handles[receiver].lateTasks.enqueue(task, of: handles[receiver])
        } handler: { task, _ in
            guard Reactor.append(task) else { preconditionFailure("a task came by mailbox to a thread without one") }
        }
    }

    /// True when the handle is of this mailroom's.
    func has(_ handle: ReactorHandle) -> Bool { handle.index < handles.count && handles[handle.index] === handle }

    deinit {
        discardUndelivered()
        for index in 0..<2 * handles.count * handles.count {
            // The mailroom's own reference, taken in `ring(from:to:)`.
            if let mailbox = unsafe mailboxes[index].load(ordering: .acquiring) {
                unsafe Unmanaged<Mailbox>.fromOpaque(mailbox).release()
            }
        }
        unsafe mailboxes.deallocate()
    }

    /// The ring from `sender` to `receiver`, made if need be. For the sender. Lives as long as the mailroom.
    func ring(from sender: Int, to receiver: Int, _ lane: MailLane = .ordinary) -> MailRing {
        if let ring = existingRing(from: sender, to: receiver, lane) { return ring }
        let mailbox = Mailbox(capacity: lane == .urgent ? urgentCapacity : capacity, node: nodes[receiver])
        let pointer = unsafe Unmanaged.passRetained(mailbox).toOpaque()
        unsafe mailboxes[number(sender, receiver, lane)].store(pointer, ordering: .releasing)
        return mailbox.ring
    }

    private func number(_ sender: Int, _ receiver: Int, _ lane: MailLane) -> Int {
        ((lane == .urgent ? handles.count : 0) + sender) * handles.count + receiver
    }

    /// The ring from `sender` to `receiver`, if it was ever used.
    func existingRing(from sender: Int, to receiver: Int, _ lane: MailLane = .ordinary) -> MailRing? {
        let pointer = unsafe mailboxes[number(sender, receiver, lane)].load(ordering: .acquiring)
        guard let pointer = unsafe pointer else { return nil }
        return unsafe Unmanaged<Mailbox>.fromOpaque(pointer)._withUnsafeGuaranteedRef { $0.ring }
    }

    /// Registers a kind of message; every reactor makes its own receiver when the first one arrives.
    @usableFromInline
    func addChannel(_ makeReceiver: @escaping @Sendable () -> MailReceiver) -> UInt32 {
        channels.withLock {
            $0.append(makeReceiver)
            return UInt32($0.count - 1)
        }
    }

    func makeReceiver(_ channel: UInt32) -> MailReceiver { channels.withLock { $0[Int(channel)] }() }

    /// Takes out what nobody will handle any more, reporting it. After all reactors have stopped. The mailroom does
    /// it itself when it goes: payloads may hold references, and descriptors.
    package func discardUndelivered() {
        for receiver in handles.indices {
            discardUndelivered(to: receiver) { $0.publish() }
            handles[receiver].closeInbox()
        }
    }

    /// The same for what one reactor has been sent and shown, on its thread, when it has stopped: tasks among it must
    /// not wait for the others to stop, who may wait for them.
    package func discardUndelivered(to receiver: Int) { discardUndelivered(to: receiver) { _ in } }

    private func discardUndelivered(to receiver: Int, _ prepare: (MailRing) -> Void) {
        for sender in handles.indices {
            for lane in [MailLane.urgent, .ordinary] {
                guard let ring = existingRing(from: sender, to: receiver, lane) else { continue }
                prepare(ring)
                handles[receiver].counters.add(.mailUndelivered, discardAll(ring, receiver: receiver))
            }
        }
    }

    private func discardAll(_ ring: MailRing, receiver: Int) -> Int {
        var count = 0
        while let (channel, payload) = unsafe ring.next() {
            unsafe makeReceiver(channel).discard(payload, receiver)
            ring.consume()
            count += 1
        }
        ring.release()
        return count
    }
}
