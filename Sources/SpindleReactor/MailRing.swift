// SPDX-License-Identifier: Apache-2.0

internal import SpindleSystem
internal import Synchronization

/// The mailbox from one reactor to another: a bounded ring with one producer and one consumer.
///
/// The four lines of bookkeeping and the slots lie in pages of their own, on the consumer's node. Each side
/// writes its own lines only, and keeps a copy of the other's index that it refreshes when it seems to be at the
/// end: a batch of messages costs each side one line of the other's.
///
///     byte 0     tail, published        written by the producer
///     byte 128   head, published        written by the consumer
///     byte 256   tail, head's copy      producer's own
///     byte 384   head, tail's copy      consumer's own
///     byte 512   slots of 64 bytes:     channel (4) | unused (4) | sequence (8) | payload (48)
// Sendable: each word has one writer; the slots between head and tail belong to the consumer, the others to the
// producer, and `publish`/`release` hand them over with release and acquire.
@safe package final class MailRing: @unchecked Sendable {
    package static let payloadBytes = 48
    private static let slotBytes = 64
    private static let headerBytes = 512

    private let memory: PageMemory
    private let mask: UInt64
    private let publishedTail: UnsafeMutablePointer<Atomic<UInt64>>
    private let publishedHead: UnsafeMutablePointer<Atomic<UInt64>>
    private let producer: UnsafeMutablePointer<RingProducer>
    private let consumer: UnsafeMutablePointer<RingConsumer>
    private let slots: UnsafeMutableRawPointer

    /// - Parameters:
    ///   - capacity: Slots, a power of two.
    ///   - node: The consumer's NUMA node, or nil.
    package init(capacity: Int, node: Int?) {
        precondition(capacity.nonzeroBitCount == 1, "capacity \(capacity) is no power of two")
        let byteCount = MailRing.headerBytes + capacity * MailRing.slotBytes
        do { memory = try PageMemory(byteCount: byteCount, node: node) } catch {
            preconditionFailure("no memory for a mailbox of \(byteCount) bytes: \(error)")
        }
        mask = UInt64(capacity - 1)
        let base = unsafe memory.base
        unsafe publishedTail = base.bindMemory(to: Atomic<UInt64>.self, capacity: 1)
        unsafe publishedHead = (base + 128).bindMemory(to: Atomic<UInt64>.self, capacity: 1)
        unsafe producer = (base + 256).bindMemory(to: RingProducer.self, capacity: 1)
        unsafe consumer = (base + 384).bindMemory(to: RingConsumer.self, capacity: 1)
        unsafe slots = unsafe base + MailRing.headerBytes
        unsafe publishedTail.initialize(to: Atomic(0))
        unsafe publishedHead.initialize(to: Atomic(0))
        unsafe producer.initialize(to: RingProducer())
        unsafe consumer.initialize(to: RingConsumer())
    }

    // MARK: Producer

    /// The payload of the next free slot, 48 bytes, or nil when the ring is full. Taken by `commit`.
    @inline(__always)
    @unsafe func reserve(channel: UInt32) -> UnsafeMutableRawPointer? {
        guard let tail = unsafe producer.pointee.reserve(mask: mask, in: self) else { return nil }
        let slot = unsafe slots + Int(tail & mask) * MailRing.slotBytes
        unsafe slot.storeBytes(of: channel, as: UInt32.self)
        unsafe slot.storeBytes(of: tail, toByteOffset: 8, as: UInt64.self)
        return unsafe slot + 16
    }

    /// The reserved slot is filled; the consumer sees it after `publish`.
    @inline(__always)
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
    typealias Interruption = Never

    @inline(__always)
    func loadTail() -> UInt64 { unsafe publishedTail.pointee.load(ordering: .acquiring) }

    @inline(__always)
    func storeTail(_ tail: UInt64) { unsafe publishedTail.pointee.store(tail, ordering: .releasing) }

    @inline(__always)
    func loadHead() -> UInt64 { unsafe publishedHead.pointee.load(ordering: .acquiring) }

    @inline(__always)
    func storeHead(_ head: UInt64) { unsafe publishedHead.pointee.store(head, ordering: .releasing) }
}
