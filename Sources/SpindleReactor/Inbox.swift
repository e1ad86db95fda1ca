// SPDX-License-Identifier: Apache-2.0

internal import Synchronization

/// What a reactor is to run, from other threads.
enum InboxJob {
    /// A submitted closure.
    case closure(@Sendable () throws -> Void)
    /// A Swift task that can go on there. Never refused but by an inbox that is closed.
    case task(UnownedJob)
}

/// Jobs for a reactor from other threads: many producers, one consumer, first in first out.
///
/// A lock-free stack that the consumer takes whole and turns around; since nobody pops a single job there is no
/// ABA, and a producer that is preempted in the middle blocks nobody.
// Sendable: the head is atomic; a node belongs to its producer until it is pushed and to the consumer after.
@safe final class Inbox: @unchecked Sendable {
    @safe private final class Node {
        let job: InboxJob
        var next: Unmanaged<Node>?
        init(_ job: InboxJob) { self.job = job }
    }

    private let head = unsafe Atomic<UnsafeMutableRawPointer?>(nil)
    private let waiting = Atomic<Int>(0)
    private let capacity: Int

    init(capacity: Int) { self.capacity = capacity }

    deinit { _ = close() }

    /// What the head points to once nobody takes jobs any more: no node lies there.
    private static var closed: UnsafeMutableRawPointer? { unsafe UnsafeMutableRawPointer(bitPattern: 1) }

    /// Adds a job; `.full` when `capacity` jobs wait, unless it is one of the few that must get through. From any
    /// thread.
    func push(_ job: InboxJob, isLimited: Bool = true) -> SubmitResult {
        guard waiting.add(1, ordering: .relaxed).newValue <= capacity || !isLimited else {
            waiting.subtract(1, ordering: .relaxed)
            return unsafe head.load(ordering: .relaxed) == Inbox.closed ? .stopped : .full
        }
        let node = Node(job)
        // The stack's own reference; `takeAll` gives it up.
        let pointer = unsafe Unmanaged.passRetained(node).toOpaque()
        var top = unsafe head.load(ordering: .relaxed)
        while true {
            if unsafe top == Inbox.closed {
                unsafe Unmanaged<Node>.fromOpaque(pointer).release()
                // Not one that waits: or the inbox would fill up with refusals, and answer `.full` for ever after.
                waiting.subtract(1, ordering: .relaxed)
                return .stopped
            }
            unsafe node.next = unsafe top.map { unsafe Unmanaged<Node>.fromOpaque($0) }
            let (exchanged, now) = unsafe head.weakCompareExchange(
                expected: top,
                desired: pointer,
                ordering: .releasing
            )
            if exchanged { return .sent }
            unsafe top = unsafe now
        }
    }

    /// The waiting jobs, oldest first. For the consumer.
    func takeAll() -> [InboxJob] { unsafe take(leaving: nil) }

    /// Takes no more jobs from now on.
    ///
    /// - Returns: What waited.
    func close() -> [InboxJob] { unsafe take(leaving: Inbox.closed) }

    private func take(leaving replacement: UnsafeMutableRawPointer?) -> [InboxJob] {
        // Looked at first, and not put back after: a job pushed in between would be lost. Only this thread closes.
        guard unsafe head.load(ordering: .relaxed) != Inbox.closed else { return [] }
        var jobs: [InboxJob] = []
        let top = unsafe head.exchange(replacement, ordering: .acquiring)
        var next = unsafe top.map { unsafe Unmanaged<Node>.fromOpaque($0) }
        while let current = unsafe next {
            let node = unsafe current.takeRetainedValue()
            jobs.append(node.job)
            unsafe next = unsafe node.next
        }
        waiting.subtract(jobs.count, ordering: .relaxed)
        jobs.reverse()
        return jobs
    }
}
