// SPDX-License-Identifier: Apache-2.0

internal import SpindleSystem
public import Synchronization

/// The mailbox from one reactor to another: a bounded ring with one producer and one consumer.
///
/// The three lines of bookkeeping and the slots lie in pages of their own, on the consumer's node. Each side
/// writes its own lines only, and the producer keeps a copy of the consumer's index that it refreshes when the ring
/// seems full. The consumer has no index to ask for: the first slot of a batch says where the batch ends. A value of
/// addresses, so that each side keeps its own copy; the memory is the `Mailbox`'s.
///
///     byte 0     head, published            written by the consumer
///     byte 128   tail, head's copy          producer's own
///     byte 256   head, end of the batch     consumer's own
///     byte 384   slots of 64 bytes:         channel (4) | unused (4) | end (8) | payload (48)
// Sendable: each word has one writer; the slots between head and tail belong to the consumer, the others to the
// producer, and `publish`/`release` hand them over with release and acquire.
@usableFromInline
@safe struct MailRing: @unchecked Sendable {
    /// Bytes of a message that lies in its slot. Computed, so that it is a constant wherever it is used.
    @inlinable static var payloadBytes: Int { 48 }
    @inlinable static var slotBytes: Int { 64 }

    @usableFromInline let mask: UInt64
    @usableFromInline let publishedHead: UnsafeMutablePointer<Atomic<UInt64>>
    @usableFromInline let producer: UnsafeMutablePointer<RingProducer>
    @usableFromInline let consumer: UnsafeMutablePointer<RingConsumer>
    @usableFromInline let slots: UnsafeMutableRawPointer

    /// - Parameters:
    ///   - capacity: Slots, a power of two.
    ///   - memory: As much as `byteCount(capacity:)` says, near the consumer.
    init(capacity: Int, in memory: LineMemory) {
        precondition(capacity.nonzeroBitCount == 1, "capacity \(capacity) is no power of two")
        mask = UInt64(capacity - 1)
        unsafe publishedHead = unsafe memory.takeAtomics(1)
        unsafe producer = unsafe memory.take(RingProducer.self)
        unsafe consumer = unsafe memory.take(RingConsumer.self)
        unsafe slots = unsafe UnsafeMutableRawPointer(memory.take(UInt8.self, count: capacity * MailRing.slotBytes))
    }

    static func byteCount(capacity: Int) -> Int {
        3 * LineMemory.lineBytes + LineMemory.wholeLines(capacity * slotBytes)
    }

    // MARK: Producer

    /// The payload of the next free slot, 48 bytes, or nil when the ring is full. Taken by `commit`.
    @inlinable
    @unsafe func reserve(channel: UInt32) -> UnsafeMutableRawPointer? {
        guard let tail = unsafe producer.pointee.reserve(mask: mask, in: self) else { return nil }
        let slot = unsafe slot(of: tail)
        unsafe slot.storeBytes(of: channel, as: UInt32.self)
        // The first of a batch is shown by `publish`.
        if unpublishedCount > 0 { unsafe end(of: slot).pointee.store(tail &+ 1, ordering: .relaxed) }
        return unsafe slot + 16
    }

    @inlinable
    @unsafe func slot(of index: UInt64) -> UnsafeMutableRawPointer {
        unsafe slots + Int(index & mask) * MailRing.slotBytes
    }

    @inlinable
    @unsafe func end(of slot: UnsafeMutableRawPointer) -> UnsafeMutablePointer<Atomic<UInt64>> {
        unsafe (slot + 8).assumingMemoryBound(to: Atomic<UInt64>.self)
    }

    /// The reserved slot is filled; the consumer sees it after `publish`.
    ///
    /// - Returns: True when a batch begins or is full: `MailroomKey.batchChanged` has to know.
    @inlinable
    @discardableResult
    func commit() -> Bool {
        unsafe producer.pointee.commit()
        let count = unpublishedCount
        return count == 1 || count == Outbox.batchSize
    }

    /// Messages that the consumer can't see yet. For the producer.
    @inlinable
    var unpublishedCount: Int { unsafe producer.pointee.unpublishedCount }

    /// Lets the consumer see what was committed. The doorbell's OR is the fence that follows.
    @inline(__always)
    func publish() { unsafe producer.pointee.publish(in: self) }

    // MARK: Consumer

    /// The first message: its channel and its payload; nil when there is none. Given back by `release`.
    @inlinable
    @unsafe func next() -> (channel: UInt32, payload: UnsafeMutableRawPointer)? {
        guard let head = unsafe consumer.pointee.next(in: self) else { return nil }
        let slot = unsafe slot(of: head)
        // Written for this turn of the ring, and not for one before or after.
        let end = unsafe end(of: slot).pointee.load(ordering: .relaxed)
        precondition(end &- head &- 1 <= mask, "slot \(head & mask) ends at \(end), not behind message \(head)")
        return unsafe (slot.load(as: UInt32.self), slot + 16)
    }

    /// True when `next` would give a message. A glance, when there is none: it costs nothing until the producer writes.
    @inline(__always)
    var hasMessage: Bool {
        let head = unsafe consumer.pointee.head
        return Int64(bitPattern: loadEnd(at: head) &- head) > 0
    }

    /// The first message's payload was moved out.
    @inlinable
    func consume() { unsafe consumer.pointee.consume() }

    /// Lets the producer use the consumed slots again.
    @inline(__always)
    func release() { unsafe consumer.pointee.release(in: self) }
}

extension MailRing: RingMemory {
    @usableFromInline typealias Interruption = Never

    @inlinable
    func loadEnd(at index: UInt64) -> UInt64 { unsafe end(of: slot(of: index)).pointee.load(ordering: .acquiring) }

    @inlinable
    func storeEnd(_ end: UInt64, at index: UInt64) {
        unsafe self.end(of: slot(of: index)).pointee.store(end, ordering: .releasing)
    }

    @inlinable
    func loadHead() -> UInt64 { unsafe publishedHead.pointee.load(ordering: .acquiring) }

    @inlinable
    func storeHead(_ head: UInt64) { unsafe publishedHead.pointee.store(head, ordering: .releasing) }
}
