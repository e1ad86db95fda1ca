// SPDX-License-Identifier: Apache-2.0

@testable import SpindleReactor

/// What the ends of a ring show each other, on a model's thread.
struct ModelRing: RingMemory {
    typealias Interruption = ModelInterruption

    let thread: ModelThread
    let mask: UInt64
    /// False: what is published is published with plain stores.
    var releases = true

    static let head = 0
    /// What the slot says about where the messages end, and its payload.
    private func end(_ index: UInt64) -> Int { 1 + 2 * Int(index & mask) }
    func payload(_ index: UInt64) -> Int { end(index) + 1 }

    func loadEnd(at index: UInt64) throws(ModelInterruption) -> UInt64 { try thread.load(end(index)) }

    func storeEnd(_ value: UInt64, at index: UInt64) throws(ModelInterruption) {
        try thread.store(value, to: end(index), releasing: releases)
    }

    /// As `MailRing.reserve` does for a message that is not the first of its batch.
    func markNext(_ index: UInt64) throws(ModelInterruption) { try thread.store(index &+ 1, to: end(index)) }

    func loadHead() throws(ModelInterruption) -> UInt64 { try thread.load(ModelRing.head) }

    func storeHead(_ head: UInt64) throws(ModelInterruption) {
        try thread.store(head, to: ModelRing.head, releasing: releases)
    }
}

/// Rings with one mistake each.
extension RingProducer {
    /// "The head was read again just now, so there is room."
    mutating func reserveTrustingTheCopy<Memory: RingMemory>(
        mask: UInt64,
        in memory: Memory
    ) throws(Memory.Interruption) -> UInt64? {
        if tail &- knownHead > mask { knownHead = try memory.loadHead() }
        return tail
    }

    /// "A full ring has as many messages as slots", counted with a head that is one turn old.
    mutating func reserveWithStaleHead<Memory: RingMemory>(
        mask: UInt64,
        in memory: Memory
    ) throws(Memory.Interruption) -> UInt64? {
        // The copy is compared modulo the ring: once the producer has gone round, old and new look the same.
        if tail != knownHead, tail & mask == knownHead & mask {
            let head = try memory.loadHead()
            if tail &- head > mask { return nil }
        }
        return tail
    }
}

extension RingConsumer {
    /// "What the slot says is where the messages end", though it may have said it a turn of the ring ago.
    mutating func nextWithOldEnd<Memory: RingMemory>(
        in memory: Memory
    ) throws(Memory.Interruption) -> UInt64? {
        if head == knownEnd {
            let end = try memory.loadEnd(at: head)
            guard end != head else { return nil }
            knownEnd = end
        }
        return head
    }

    /// "The bell has rung, so there is a message."
    mutating func nextTrustingTheBell<Memory: RingMemory>(
        in memory: Memory
    ) throws(Memory.Interruption) -> UInt64? {
        if head == knownEnd { knownEnd = try memory.loadEnd(at: head) }
        return head
    }
}

/// A producer that writes numbered messages in batches, and a consumer that checks them.
struct RingScenario: Sendable {
    enum Mistake: Sendable {
        case none
        case publishBeforeWriting, plainPublish
        case releaseBeforeReading
        case trustTheCopy, staleHead, trustTheBell, trustOldEnds
    }

    var capacity: UInt64 = 2
    var messageCount: UInt64 = 5
    var batch = 1
    /// The index of the first message: close to the end of the numbers, they wrap.
    var start: UInt64 = 0
    var mistake = Mistake.none

    private var mask: UInt64 { capacity - 1 }

    func explore(_ order: ModelOrder) -> ModelReport {
        let memory = [start] + Array(repeating: [start, 0], count: Int(capacity)).joined()
        let indices = [start, start, 0]
        return ModelChecker(
            order,
            memory: memory,
            threads: [(locals: indices, program: produce), (locals: indices, program: consume)]
        ) { _ in nil }.explore()
    }

    /// What the message number `index` carries: never 0, which is what slots hold at first.
    private func payload(_ index: UInt64) -> UInt64 { index &- start + 1 }

    /// `MailRing.reserve`, `commit` and `publish`, for one message. Locals: tail, known head, unpublished.
    private func produce(_ thread: ModelThread, _ locals: [UInt64]) throws(ModelInterruption) -> [UInt64]? {
        let ring = ModelRing(thread: thread, mask: mask, releases: mistake != .plainPublish)
        var producer = RingProducer(tail: locals[0], batchStart: locals[0] &- locals[2], knownHead: locals[1])
        let index =
            switch mistake {
            case .trustTheCopy: try producer.reserveTrustingTheCopy(mask: mask, in: ring)
            case .staleHead: try producer.reserveWithStaleHead(mask: mask, in: ring)
            default: try producer.reserve(mask: mask, in: ring)
            }
        guard let index else {
            // Full with a batch unfinished: published, or the consumer would never make room.
            try producer.publish(in: ring)
            return [producer.tail, producer.knownHead, 0]
        }
        if mistake == .publishBeforeWriting { try ring.storeEnd(index &+ 1, at: index) }
        if producer.unpublishedCount > 0 { try ring.markNext(index) }
        try thread.store(payload(index), to: ring.payload(index))
        producer.commit()
        let isLast = producer.tail &- start == messageCount
        if producer.unpublishedCount == batch || isLast { try producer.publish(in: ring) }
        return isLast ? nil : [producer.tail, producer.knownHead, producer.tail &- producer.batchStart]
    }

    /// `MailRing.next`, `consume` and `release`, for one message. Locals: head, known end, unreleased.
    private func consume(_ thread: ModelThread, _ locals: [UInt64]) throws(ModelInterruption) -> [UInt64]? {
        let ring = ModelRing(thread: thread, mask: mask)
        var consumer = RingConsumer(head: locals[0], knownEnd: locals[1])
        let next =
            switch mistake {
            case .trustTheBell: try consumer.nextTrustingTheBell(in: ring)
            case .trustOldEnds: try consumer.nextWithOldEnd(in: ring)
            default: try consumer.next(in: ring)
            }
        guard let index = next else {
            // The end of a drain: what was taken is given back.
            if locals[2] > 0 { try consumer.release(in: ring) }
            return [consumer.head, consumer.knownEnd, 0]
        }
        if mistake == .releaseBeforeReading {
            consumer.consume()
            try consumer.release(in: ring)
        }
        let found = try thread.load(ring.payload(index))
        thread.check(found == payload(index), "message \(payload(index)) was due, but \(found) was there")
        if mistake != .releaseBeforeReading { consumer.consume() }
        guard consumer.head &- start == messageCount else { return [consumer.head, consumer.knownEnd, 1] }
        try consumer.release(in: ring)
        return nil
    }
}
