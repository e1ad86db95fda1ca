// SPDX-License-Identifier: Apache-2.0

public import Synchronization

/// Values for one thread from many: first in first out.
///
/// A lock-free stack that the consumer takes whole and turns around; since nobody pops a single value there is no
/// ABA, and a producer that is preempted in the middle blocks nobody.
// Sendable: the head is atomic; a node belongs to its producer until it is pushed and to the consumer after.
@usableFromInline @safe package final class Inbox<Element>: @unchecked Sendable {
    /// What became of a value.
    @usableFromInline package enum Outcome {
        /// It waits; `wasEmpty` when it is the first that does.
        case pushed(wasEmpty: Bool)
        /// `capacity` values wait.
        case full
        /// Nobody takes values any more.
        case closed
    }

    @usableFromInline @safe final class Node {
        @usableFromInline let element: Element
        @usableFromInline var next: Unmanaged<Node>?
        @inlinable init(_ element: Element) { self.element = element }
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

    /// Adds a value; `.full` when `capacity` wait, unless it is one of the few that must get through. From any thread.
    @inlinable package func push(_ element: Element, isLimited: Bool = true) -> Outcome {
        guard waiting.add(1, ordering: .relaxed).newValue <= limit.load(ordering: .relaxed) || !isLimited else {
            waiting.subtract(1, ordering: .relaxed)
            return unsafe head.load(ordering: .relaxed) == Inbox.closed ? .closed : .full
        }
        let node = Node(element)
        // The stack's own reference; `take` gives it up.
        let pointer = unsafe Unmanaged.passRetained(node).toOpaque()
        var top = unsafe head.load(ordering: .relaxed)
        while true {
            if unsafe top == Inbox.closed {
                unsafe Unmanaged<Node>.fromOpaque(pointer).release()
                // Not one that waits: or the inbox would fill up with refusals, and answer `.full` for ever after.
                waiting.subtract(1, ordering: .relaxed)
                return .closed
            }
            unsafe node.next = unsafe top.map { unsafe Unmanaged<Node>.fromOpaque($0) }
            let (exchanged, now) = unsafe head.weakCompareExchange(
                expected: top,
                desired: pointer,
                ordering: .releasing
            )
            if exchanged { return .pushed(wasEmpty: unsafe top == nil) }
            unsafe top = unsafe now
        }
    }

    /// The waiting values, oldest first. For the consumer.
    @inlinable package func takeAll() -> [Element] { unsafe take(leaving: nil) }

    /// Takes no more values from now on.
    ///
    /// - Returns: What waited.
    @inlinable package func close() -> [Element] { unsafe take(leaving: Inbox.closed) }

    @inlinable func take(leaving replacement: UnsafeMutableRawPointer?) -> [Element] {
        // Looked at first, and not put back after: a value pushed in between would be lost. Only this thread closes.
        guard unsafe head.load(ordering: .relaxed) != Inbox.closed else { return [] }
        var elements: [Element] = []
        let top = unsafe head.exchange(replacement, ordering: .acquiring)
        var next = unsafe top.map { unsafe Unmanaged<Node>.fromOpaque($0) }
        while let current = unsafe next {
            let node = unsafe current.takeRetainedValue()
            elements.append(node.element)
            unsafe next = unsafe node.next
        }
        waiting.subtract(elements.count, ordering: .relaxed)
        elements.reverse()
        return elements
    }
}
