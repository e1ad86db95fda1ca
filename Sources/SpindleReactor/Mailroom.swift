// SPDX-License-Identifier: Apache-2.0

internal import SpindleSystem
internal import Synchronization

/// What the reactors of an engine share: their handles, the mailboxes between them, and the channels' receivers.
///
/// A mailbox exists once its producer has used it, so N reactors that talk to few others need few of the N×(N-1).
// Sendable: handles are immutable; a mailbox's pointer is atomic and set once, by its one producer.
@safe package final class Mailroom: @unchecked Sendable {
    package let handles: [ReactorHandle]
    private let capacity: Int
    private let nodes: [Int?]
    private let rings: UnsafeMutablePointer<Atomic<UnsafeMutableRawPointer?>>
    private let receivers = Guarded<[@Sendable () -> MailReceiver]>([])

    /// - Parameters:
    ///   - reactorCount: At least 1.
    ///   - nodes: The NUMA node of each reactor, or nil where it does not matter.
    package init(reactorCount: Int, configuration: ReactorConfiguration, nodes: [Int?]? = nil) {
        precondition(reactorCount > 0, "an engine has at least one reactor")
        handles = (0..<reactorCount).map {
            ReactorHandle(index: $0, reactorCount: reactorCount, configuration: configuration)
        }
        capacity = configuration.mailboxCapacity
        self.nodes = nodes ?? Array(repeating: nil, count: reactorCount)
        unsafe rings = .allocate(capacity: reactorCount * reactorCount)
        for index in 0..<reactorCount * reactorCount { unsafe (rings + index).initialize(to: Atomic(nil)) }
    }

    deinit {
        discardUndelivered()
        for index in 0..<handles.count * handles.count {
            // The mailroom's own reference, taken in `ring(from:to:)`.
            if let ring = unsafe rings[index].load(ordering: .acquiring) {
                unsafe Unmanaged<MailRing>.fromOpaque(ring).release()
            }
        }
        unsafe rings.deallocate()
    }

    /// The mailbox from `sender` to `receiver`, made if need be. For the sender.
    func ring(from sender: Int, to receiver: Int) -> MailRing {
        if let ring = existingRing(from: sender, to: receiver) { return ring }
        let ring = MailRing(capacity: capacity, node: nodes[receiver])
        let pointer = unsafe Unmanaged.passRetained(ring).toOpaque()
        unsafe rings[sender * handles.count + receiver].store(pointer, ordering: .releasing)
        return ring
    }

    /// The mailbox from `sender` to `receiver`, if it was ever used.
    func existingRing(from sender: Int, to receiver: Int) -> MailRing? {
        let pointer = unsafe rings[sender * handles.count + receiver].load(ordering: .acquiring)
        // tidy: allow banned: once per batch of mail, and kept by the caller
        return unsafe pointer.map { unsafe Unmanaged<MailRing>.fromOpaque($0).takeUnretainedValue() }
    }

    /// Registers a kind of message; every reactor makes its own receiver when the first one arrives.
    func addChannel(_ makeReceiver: @escaping @Sendable () -> MailReceiver) -> UInt32 {
        receivers.withLock {
            $0.append(makeReceiver)
            return UInt32($0.count - 1)
        }
    }

    func makeReceiver(_ channel: UInt32) -> MailReceiver { receivers.withLock { $0[Int(channel)] }() }

    /// Takes out what nobody will handle any more, reporting it. After all reactors have stopped. The mailroom does
    /// it itself when it goes: payloads may hold references, and descriptors.
    package func discardUndelivered() {
        for receiver in handles.indices {
            let counters = handles[receiver].counters
            for sender in handles.indices {
                guard let ring = existingRing(from: sender, to: receiver) else { continue }
                ring.publish()
                while let (channel, payload) = unsafe ring.next() {
                    unsafe makeReceiver(channel).discard(payload, receiver: receiver)
                    ring.consume()
                    counters.add(.mailUndelivered)
                }
                ring.release()
            }
            counters.add(.mailUndelivered, handles[receiver].inbox.close())
        }
    }
}

/// Handles the messages of one channel on one reactor. A class and not a closure: its call costs a vtable entry.
class MailReceiver {
    /// Moves the message out of the payload and handles it.
    @unsafe func receive(_ payload: UnsafeMutableRawPointer, from sender: Int) throws {
        preconditionFailure("abstract")
    }
    /// Moves the message out of the payload and reports that it was not delivered.
    @unsafe func discard(_ payload: UnsafeMutableRawPointer, receiver: Int) { preconditionFailure("abstract") }
}
