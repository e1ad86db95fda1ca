// SPDX-License-Identifier: Apache-2.0

@testable import SpindleReactor

/// The published indices of a ring on a model's thread.
struct ModelRing: RingMemory {
    typealias Interruption = ModelInterruption

    let thread: ModelThread
    /// False: the indices are published with plain stores.
    var releases = true

    static let tail = 0
    static let head = 1
    static func slot(_ index: UInt64) -> Int { 2 + Int(index) }

    func loadTail() throws(ModelInterruption) -> UInt64 { try thread.load(ModelRing.tail) }

    func storeTail(_ tail: UInt64) throws(ModelInterruption) {
        try thread.store(tail, to: ModelRing.tail, releasing: releases)
    }

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
    /// "The bell has rung, so there is a message."
    mutating func nextTrustingTheBell<Memory: RingMemory>(
        in memory: Memory
    ) throws(Memory.Interruption) -> UInt64? {
        if head == knownTail { knownTail = try memory.loadTail() }
        return head
    }
}

/// A producer that writes numbered messages in batches, and a consumer that checks them.
struct RingScenario: Sendable {
    enum Mistake: Sendable {
        case none
        case publishBeforeWriting, plainPublish
        case releaseBeforeReading
        case trustTheCopy, staleHead, trustTheBell
    }

    var capacity: UInt64 = 2
    var messageCount: UInt64 = 5
    var batch: UInt64 = 1
    /// The index of the first message: close to the end of the numbers, they wrap.
    var start: UInt64 = 0
    var mistake = Mistake.none

    private var mask: UInt64 { capacity - 1 }

    func explore(_ order: ModelOrder) -> ModelReport {
        let memory = [start, start] + Array(repeating: UInt64(0), count: Int(capacity))
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
        let ring = ModelRing(thread: thread, releases: mistake != .plainPublish)
        var producer = RingProducer(tail: locals[0], knownHead: locals[1])
        var unpublished = locals[2]
        let index =
            switch mistake {
            case .trustTheCopy: try producer.reserveTrustingTheCopy(mask: mask, in: ring)
            case .staleHead: try producer.reserveWithStaleHead(mask: mask, in: ring)
            default: try producer.reserve(mask: mask, in: ring)
            }
        guard let index else {
            // Full with a batch unfinished: published, or the consumer would never make room.
            if unpublished > 0 { try producer.publish(in: ring) }
            return [producer.tail, producer.knownHead, 0]
        }
        if mistake == .publishBeforeWriting { try ring.storeTail(index &+ 1) }
        try thread.store(payload(index), to: ModelRing.slot(index & mask))
        producer.commit()
        unpublished += 1
        let isLast = producer.tail &- start == messageCount
        if unpublished == batch || isLast {
            try producer.publish(in: ring)
            unpublished = 0
        }
        return isLast ? nil : [producer.tail, producer.knownHead, unpublished]
    }

    /// `MailRing.next`, `consume` and `release`, for one message. Locals: head, known tail, unreleased.
    private func consume(_ thread: ModelThread, _ locals: [UInt64]) throws(ModelInterruption) -> [UInt64]? {
        let ring = ModelRing(thread: thread)
        var consumer = RingConsumer(head: locals[0], knownTail: locals[1])
        let next =
            mistake == .trustTheBell ? try consumer.nextTrustingTheBell(in: ring) : try consumer.next(in: ring)
        guard let index = next else {
            // The end of a drain: what was taken is given back.
            if locals[2] > 0 { try consumer.release(in: ring) }
            return [consumer.head, consumer.knownTail, 0]
        }
        if mistake == .releaseBeforeReading {
            consumer.consume()
            try consumer.release(in: ring)
        }
        let found = try thread.load(ModelRing.slot(index & mask))
        thread.check(found == payload(index), "message \(payload(index)) was due, but \(found) was there")
        if mistake != .releaseBeforeReading { consumer.consume() }
        guard consumer.head &- start == messageCount else { return [consumer.head, consumer.knownTail, 1] }
        try consumer.release(in: ring)
        return nil
    }
}
