// SPDX-License-Identifier: Apache-2.0

/// A reactor's side of the mailboxes that it sends into: batches messages, so that bells ring once per batch.
struct Outbox {
    /// Messages after which the bell is rung at once. Measured: 50 ns a message when each rings, 7-8 ns with 16.
    static let batchSize = 16

    private var rings: [MailRing?]
    private var unpublished: [Int]
    /// Reactors that were sent something that they can't see yet.
    private var pending: [Int] = []

    init(reactorCount: Int) {
        rings = Array(repeating: nil, count: reactorCount)
        unpublished = Array(repeating: 0, count: reactorCount)
    }

    var hasUnpublished: Bool { !pending.isEmpty }

    @inline(__always)
    @unsafe mutating func reserve(to receiver: Int, channel: UInt32, in reactor: Reactor) -> UnsafeMutableRawPointer? {
        if rings[receiver] == nil { rings[receiver] = reactor.mailroom.ring(from: reactor.index, to: receiver) }
        return unsafe rings[receiver]!.reserve(channel: channel)
    }

    @inline(__always)
    mutating func commit(to receiver: Int, of reactor: Reactor) {
        rings[receiver]!.commit()
        unpublished[receiver] += 1
        if unpublished[receiver] == 1 { pending.append(receiver) }
        if unpublished[receiver] >= Outbox.batchSize { publish(to: receiver, of: reactor) }
    }

    /// Shows an unfinished batch: when the mailbox is full, the receiver could make no room for what follows.
    mutating func publishRest(to receiver: Int, of reactor: Reactor) {
        if unpublished[receiver] > 0 { publish(to: receiver, of: reactor) }
    }

    /// Shows everything to its receivers and rings their bells.
    mutating func publishAll(of reactor: Reactor) {
        while let receiver = pending.last { publish(to: receiver, of: reactor) }
    }

    private mutating func publish(to receiver: Int, of reactor: Reactor) {
        rings[receiver]!.publish()
        reactor.counters.add(.mailSent, unpublished[receiver])
        unpublished[receiver] = 0
        // Nearly always the last one: a batch goes to one receiver.
        if let index = pending.lastIndex(of: receiver) { pending.remove(at: index) }
        reactor.ring(receiver)
    }
}
