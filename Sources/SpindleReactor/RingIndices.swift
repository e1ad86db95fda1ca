// SPDX-License-Identifier: Apache-2.0

/// The published indices of a ring with one producer and one consumer, so that a test can run what is done with
/// them on a model of memory (`RingModelTests`), as with `DoorbellMemory`.
@usableFromInline
protocol RingMemory {
    associatedtype Interruption: Error
    /// How far the producer has written. Acquires what it wrote.
    func loadTail() throws(Interruption) -> UInt64
    /// Releases what was written.
    func storeTail(_ tail: UInt64) throws(Interruption)
    /// How far the consumer has read. Acquires that it has.
    func loadHead() throws(Interruption) -> UInt64
    /// Releases what was read.
    func storeHead(_ head: UInt64) throws(Interruption)
}

/// The producer's own half of a ring: where it writes next, and how far the consumer was when it last looked.
///
/// Indices count messages and never wrap back to 0; a slot is `index & mask`.
@usableFromInline
struct RingProducer {
    @usableFromInline var tail: UInt64 = 0
    @usableFromInline var knownHead: UInt64 = 0

    init(tail: UInt64 = 0, knownHead: UInt64 = 0) {
        self.tail = tail
        self.knownHead = knownHead
    }

    /// The index to write next, or nil when the ring is full. Taken by `commit`.
    @inlinable
    mutating func reserve<Memory: RingMemory>(
        mask: UInt64,
        in memory: Memory
    ) throws(Memory.Interruption) -> UInt64? {
        if tail &- knownHead > mask {
            knownHead = try memory.loadHead()
            if tail &- knownHead > mask { return nil }
        }
        return tail
    }

    @inlinable
    mutating func commit() { tail &+= 1 }

    @inline(__always)
    func publish<Memory: RingMemory>(in memory: Memory) throws(Memory.Interruption) { try memory.storeTail(tail) }
}

/// The consumer's own half of a ring: where it reads next, and how far the producer was when it last looked.
struct RingConsumer {
    var head: UInt64 = 0
    var knownTail: UInt64 = 0

    /// The index to read next, or nil when the ring is empty. Given back by `consume` and `release`.
    @inline(__always)
    mutating func next<Memory: RingMemory>(in memory: Memory) throws(Memory.Interruption) -> UInt64? {
        if head == knownTail {
            knownTail = try memory.loadTail()
            if head == knownTail { return nil }
        }
        return head
    }

    @inline(__always)
    mutating func consume() { head &+= 1 }

    @inline(__always)
    func release<Memory: RingMemory>(in memory: Memory) throws(Memory.Interruption) { try memory.storeHead(head) }
}
