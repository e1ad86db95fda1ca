// SPDX-License-Identifier: Apache-2.0

/// What the two ends of a ring show each other, so that a test can run what is done with it on a model of memory
/// (`RingModelTests`), as with `DoorbellMemory`.
@usableFromInline
protocol RingMemory {
    associatedtype Interruption: Error
    /// Up to where there are messages, as the slot of `index` says. Acquires what was written before it was said.
    func loadEnd(at index: UInt64) throws(Interruption) -> UInt64
    /// Has the slot of `index` say that there are messages up to `end`. Releases what was written.
    func storeEnd(_ end: UInt64, at index: UInt64) throws(Interruption)
    /// How far the consumer has read. Acquires that it has.
    func loadHead() throws(Interruption) -> UInt64
    /// Releases what was read.
    func storeHead(_ head: UInt64) throws(Interruption)
}

/// The producer's own half of a ring: where it writes next, what it has not shown yet, and how far the consumer
/// was when it last looked.
///
/// Indices count messages and never wrap back to 0; a slot is `index & mask`. A batch is shown by its first slot,
/// which says where it ends: a consumer that waits there needs no other line of memory to know.
@usableFromInline
struct RingProducer {
    @usableFromInline var tail: UInt64 = 0
    /// The first message that was not shown yet.
    @usableFromInline var batchStart: UInt64 = 0
    @usableFromInline var knownHead: UInt64 = 0

    init(tail: UInt64 = 0, batchStart: UInt64 = 0, knownHead: UInt64 = 0) {
        self.tail = tail
        self.batchStart = batchStart
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

    /// Messages that the consumer can't see yet.
    @inlinable
    var unpublishedCount: Int { Int(truncatingIfNeeded: tail &- batchStart) }

    /// Shows what was committed.
    @inline(__always)
    mutating func publish<Memory: RingMemory>(in memory: Memory) throws(Memory.Interruption) {
        guard unpublishedCount > 0 else { return }
        try memory.storeEnd(tail, at: batchStart)
        batchStart = tail
    }
}

/// The consumer's own half of a ring: where it reads next, and where what was shown ends.
@usableFromInline
struct RingConsumer {
    @usableFromInline var head: UInt64 = 0
    @usableFromInline var knownEnd: UInt64 = 0

    init(head: UInt64 = 0, knownEnd: UInt64 = 0) {
        self.head = head
        self.knownEnd = knownEnd
    }

    /// The index to read next, or nil when the ring is empty. Given back by `consume` and `release`.
    @inlinable
    mutating func next<Memory: RingMemory>(in memory: Memory) throws(Memory.Interruption) -> UInt64? {
        if head == knownEnd {
            let end = try memory.loadEnd(at: head)
            // What the slot said a turn of the ring ago is the own head at most.
            guard Int64(bitPattern: end &- head) > 0 else { return nil }
            knownEnd = end
        }
        return head
    }

    @inlinable
    mutating func consume() { head &+= 1 }

    @inline(__always)
    func release<Memory: RingMemory>(in memory: Memory) throws(Memory.Interruption) { try memory.storeHead(head) }
}
