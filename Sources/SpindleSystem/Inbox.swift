// SPDX-License-Identifier: Apache-2.0

public import Synchronization

/// A value of an `Inbox`: subclass it with what is to be sent.
///
/// A base class and no generic node: a generic class takes its fields apart by witness when it is freed.
@safe open class InboxNode {
    @usableFromInline var next: Unmanaged<InboxNode>?
    /// Not in any inbox yet.
    @inlinable public init() {}
}

/// Nodes for one thread from many: first in first out.
///
/// A lock-free stack that the consumer takes whole and turns around; since nobody pops a single value there is no
/// ABA, and a producer that is preempted in the middle blocks nobody.
// Sendable: the head is atomic; a node belongs to its producer until it is pushed and to the consumer after.
@usableFromInline @safe package final class Inbox<Node: InboxNode>: @unchecked Sendable {
    /// What became of a value.
    @usableFromInline package enum Outcome {
        /// It waits; `wasEmpty` when it is the first that does.
        case pushed(wasEmpty: Bool)
        /// `capacity` values wait.
        case full
        /// Nobody takes values any more.
        case closed
    }

    @usableFromInline let head = unsafe Atomic<UnsafeMutableRawPointer?>(nil)
    @usableFromInline let waiting = Atomic<Int>(0)
    @usableFromInline let limit: Atomic<Int>

    /// Takes up to `capacity` values before it says that it is full.
    @inlinable package init(capacity: Int) { limit = Atomic(capacity) }

    deinit { _ = close() }

    /// How many values may wait. From any thread.
    @inlinable package var capacity: Int {
        get { limit.load(ordering: .relaxed) }
        set { limit.store(newValue, ordering: .relaxed) }
    }

    /// What the head points to once nobody takes values any more: no node lies there.
    @inlinable static var closed: UnsafeMutableRawPointer? { unsafe UnsafeMutableRawPointer(bitPattern: 1) }

    /// Adds a node; `.full` when `capacity` wait, unless it is one of the few that must get through. From any thread.
    @inlinable package func push(_ node: Node, isLimited: Bool = true) -> Outcome {
        guard waiting.add(1, ordering: .relaxed).newValue <= limit.load(ordering: .relaxed) || !isLimited else {
            waiting.subtract(1, ordering: .relaxed)
            return unsafe head.load(ordering: .relaxed) == Inbox.closed ? .closed : .full
        }
        // The stack's own reference; `take` gives it up.
        let pointer = unsafe Unmanaged.passRetained(node as InboxNode).toOpaque()
        var top = unsafe head.load(ordering: .relaxed)
        while true {
            if unsafe top == Inbox.closed {
                unsafe Unmanaged<InboxNode>.fromOpaque(pointer).release()
                // Not one that waits: or the inbox would fill up with refusals, and answer `.full` for ever after.
                waiting.subtract(1, ordering: .relaxed)
                return .closed
            }
            unsafe node.next = unsafe top.map { unsafe Unmanaged<InboxNode>.fromOpaque($0) }
            let (exchanged, now) = unsafe head.weakCompareExchange(
                expected: top,
                desired: pointer,
                ordering: .releasing
            )
            if exchanged { return .pushed(wasEmpty: unsafe top == nil) }
            unsafe top = unsafe now
        }
    }

    /// Hands over what waits, oldest first, and forgets it. For the consumer.
    ///
    /// - Returns: How many there were.
    @discardableResult
    @inlinable package func takeAll(_ body: (Node) -> Void) -> Int { unsafe take(leaving: nil, body) }

    /// Takes no more values from now on, and hands over what waited.
    ///
    /// - Returns: How many there were.
    @discardableResult
    @inlinable package func close(_ body: (Node) -> Void = { _ in }) -> Int { unsafe take(leaving: Inbox.closed, body) }

    @inlinable func take(leaving replacement: UnsafeMutableRawPointer?, _ body: (Node) -> Void) -> Int {
        // Looked at first, and not put back after: a value pushed in between would be lost. Only this thread closes.
        guard unsafe head.load(ordering: .relaxed) != Inbox.closed else { return 0 }
        let top = unsafe head.exchange(replacement, ordering: .acquiring)
        // The last that was pushed comes first: turned around by its links.
        var newest = unsafe top.map { unsafe Unmanaged<InboxNode>.fromOpaque($0) }
        var oldest: Unmanaged<InboxNode>?
        while let node = unsafe newest {
            unsafe newest = unsafe node._withUnsafeGuaranteedRef { unsafe $0.next }
            unsafe node._withUnsafeGuaranteedRef { unsafe $0.next = unsafe oldest }
            unsafe oldest = unsafe node
        }
        var count = 0
        while let current = unsafe oldest {
            let node = unsafe current.takeRetainedValue()
            unsafe oldest = unsafe node.next
            count += 1
            // Only nodes of this type are pushed.
            body(unsafe unsafeDowncast(node, to: Node.self))
        }
        waiting.subtract(count, ordering: .relaxed)
        return count
    }
}
