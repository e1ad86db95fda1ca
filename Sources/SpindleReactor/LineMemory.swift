// SPDX-License-Identifier: Apache-2.0

internal import SpindleSystem
internal import Synchronization

/// Zeroed pages on one NUMA node, given out in whole cache lines: what two cores look at lies in no line, and in
/// no neighbouring line, of anything that one of them writes.
///
/// The heap knows no such borders, and its pages come from the node of whoever touches them first. Lives as long
/// as its owner; nothing is given back before.
// Sendable: `taken` changes only while its owner is being made.
@safe final class LineMemory: @unchecked Sendable {
    /// Lines are fetched in pairs of 64 bytes.
    static var lineBytes: Int { 128 }

    private let pages: PageMemory
    private var taken = 0

    /// - Parameters:
    ///   - byteCount: As much as will be taken; pages that nobody touches cost nothing.
    ///   - node: The preferred NUMA node, or nil.
    init(byteCount: Int, node: Int? = nil) {
        do { pages = try PageMemory(byteCount: byteCount, node: node) } catch {
            preconditionFailure("no memory for \(byteCount) bytes that cores share: \(error)")
        }
    }

    /// What so many bytes take up.
    static func wholeLines(_ byteCount: Int) -> Int { (byteCount + lineBytes - 1) / lineBytes * lineBytes }

    /// The next lines, for `count` values: all bytes are zero.
    @unsafe func take<Value: ~Copyable>(_ type: Value.Type, count: Int = 1) -> UnsafeMutablePointer<Value> {
        let start = taken
        taken += LineMemory.wholeLines(count * MemoryLayout<Value>.stride)
        precondition(taken <= pages.byteCount, "\(taken) bytes taken of \(pages.byteCount)")
        return unsafe (pages.base + start).bindMemory(to: type, capacity: count)
    }

    /// The next lines, for `count` atomics of zero: zeroed memory is that, so that no page is touched before its
    /// owner's own thread does.
    @unsafe func takeAtomics(_ count: Int) -> UnsafeMutablePointer<Atomic<UInt64>> {
        unsafe take(Atomic<UInt64>.self, count: count)
    }
}
