// SPDX-License-Identifier: Apache-2.0

/// Owns the memory of the ring from one reactor to another. Made by the producer on first use.
final class Mailbox: Sendable {
    private let memory: LineMemory
    let ring: MailRing

    /// - Parameters:
    ///   - capacity: Slots, a power of two.
    ///   - node: The consumer's NUMA node, or nil.
    init(capacity: Int, node: Int?) {
        memory = LineMemory(byteCount: MailRing.byteCount(capacity: capacity), node: node)
        ring = MailRing(capacity: capacity, in: memory)
    }
}
