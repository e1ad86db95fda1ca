// SPDX-License-Identifier: Apache-2.0

internal import SpindleSystem
public import Synchronization

/// The mailbox from one reactor to another: a bounded ring with one producer and one consumer.
///
/// The four lines of bookkeeping and the slots lie in pages of their own, on the consumer's node. Each side
/// writes its own lines only, and keeps a copy of the other's index that it refreshes when it seems to be at the
/// end: a batch of messages costs each side one line of the other's. A value of addresses, so that each side keeps
/// its own copy; the memory is the `Mailbox`'s.
///
///     byte 0     tail, published        written by the producer
///     byte 128   head, published        written by the consumer
///     byte 256   tail, head's copy      producer's own
///     byte 384   head, tail's copy      consumer's own
///     byte 512   slots of 64 bytes:     channel (4) | unused (4) | sequence (8) | payload (48)
// Sendable: each word has one writer; the slots between head and tail belong to the consumer, the others to the
// producer, and `publish`/`release` hand them over with release and acquire.
@usableFromInline
@safe struct MailRing: @unchecked Sendable {
    /// Bytes of a message that lies in its slot. Computed, so that it is a constant wherever it is used.
    @inlinable static var payloadBytes: Int { 48 }
    @inlinable static var slotBytes: Int { 64 }

    @usableFromInline let mask: UInt64
    @usableFromInline let publishedTail: UnsafeMutablePointer<Atomic<UInt64>>
    @usableFromInline let publishedHead: UnsafeMutablePointer<Atomic<UInt64>>
    @usableFromInline let producer: UnsafeMutablePointer<RingProducer>
    private let consumer: UnsafeMutablePointer<RingConsumer>
    @usableFromInline let slots: UnsafeMutableRawPointer

    /// - Parameters:
    ///   - capacity: Slots, a power of two.
    ///   - memory: As much as `byteCount(capacity:)` says, near the consumer.
    init(capacity: Int, in memory: LineMemory) {
        precondition(capacity.nonzeroBitCount == 1, "capacity \(capacity) is no power of two")
        mask = UInt64(capacity - 1)
        unsafe publishedTail = unsafe memory.takeAtomics(1)
        unsafe publishedHead = unsafe memory.takeAtomics(1)
        unsafe producer = unsafe memory.take(RingProducer.self)
        unsafe consumer = unsafe memory.take(RingConsumer.self)
        unsafe slots = unsafe UnsafeMutableRawPointer(memory.take(UInt8.self, count: capacity * MailRing.slotBytes))
    }

    static func byteCount(capacity: Int) -> Int {
        4 * LineMemory.lineBytes + LineMemory.wholeLines(capacity * slotBytes)
    }

    // MARK: Producer

    /// The payload of the next free slot, 48 bytes, or nil when the ring is full. Taken by `commit`.
    @inlinable
    @unsafe func reserve(channel: UInt32) -> UnsafeMutableRawPointer? {
        guard let tail = unsafe producer.pointee.reserve(mask: mask, in: self) else { return nil }
        let slot = unsafe slots + Int(tail & mask) * MailRing.slotBytes
        unsafe slot.storeBytes(of: channel, as: UInt32.self)
        unsafe slot.storeBytes(of: tail, toByteOffset: 8, as: UInt64.self)
        return unsafe slot + 16
    }

    /// The reserved slot is filled; the consumer sees it after `publish`.
    @inlinable
    func commit() { unsafe producer.pointee.commit() }

    /// Lets the consumer see what was committed. The doorbell's OR is the fence that follows.
    @inline(__always)
    func publish() { unsafe producer.pointee.publish(in: self) }

    // MARK: Consumer

    /// The first message: its channel and its payload; nil when there is none. Given back by `release`.
    @inline(__always)
    @unsafe func next() -> (channel: UInt32, payload: UnsafeMutableRawPointer)? {
        guard let head = unsafe consumer.pointee.next(in: self) else { return nil }
        let slot = unsafe slots + Int(head & mask) * MailRing.slotBytes
        // The same property is checked on both sides: what is taken as number n was put as number n.
        let sequence = unsafe slot.load(fromByteOffset: 8, as: UInt64.self)
        precondition(sequence == head, "slot \(head & mask) holds message \(sequence), not \(head)")
        return unsafe (slot.load(as: UInt32.self), slot + 16)
    }

    /// The first message's payload was moved out.
    @inline(__always)
    func consume() { unsafe consumer.pointee.consume() }

    /// Lets the producer use the consumed slots again.
    @inline(__always)
    func release() { unsafe consumer.pointee.release(in: self) }
}

extension MailRing: RingMemory {
    @usableFromInline typealias Interruption = Never

    @inlinable
    func loadTail() -> UInt64 { unsafe publishedTail.pointee.load(ordering: .acquiring) }

    @inlinable
    func storeTail(_ tail: UInt64) { unsafe publishedTail.pointee.store(tail, ordering: .releasing) }

    @inlinable
    func loadHead() -> UInt64 { unsafe publishedHead.pointee.load(ordering: .acquiring) }

    @inlinable
    func storeHead(_ head: UInt64) { unsafe publishedHead.pointee.store(head, ordering: .releasing) }
}
