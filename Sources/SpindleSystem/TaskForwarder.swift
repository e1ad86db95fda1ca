// SPDX-License-Identifier: Apache-2.0

internal import CTasks
package import SpindleCore

/// Gives the tasks that pinned threads start to Swift's global pool from a thread that is not pinned.
///
/// The pool makes its threads (one pool per priority, and again after five idle seconds) on whichever thread gives
/// it work, and a thread inherits the CPU mask and the memory policy of the one that makes it: a reactor would
/// give birth to pool threads on its own CPU. With a forwarder the reactor only adds to a list; a write to an
/// eventfd is due when the list was empty.
package final class TaskForwarder: Sendable {
    private struct State {
        var jobs: [UnownedJob] = []
        var isClosed = false
    }

    private let state = Guarded(State())
    private let event: EventDescriptor

    /// Starts the thread; call it on one that is not pinned.
    ///
    /// - Throws: EMFILE or ENFILE without a descriptor, EAGAIN without a thread.
    package init() throws(Errno) {
        event = try EventDescriptor()
        try SystemThread.start(name: "spindle-tasks") { [self] in forward() }
    }

    /// Has the calling thread's tasks go through this forwarder until `releaseThread`; it must live until then.
    package func adoptThread() {
        unsafe ct_set_route(
            { context, job in
                guard let context = unsafe context, let job = unsafe job else { return }
                // Whoever had the thread adopted keeps the forwarder until the thread is released.
                unsafe Unmanaged<TaskForwarder>.fromOpaque(context).takeUnretainedValue()
                    .add(unsafeBitCast(job, to: UnownedJob.self))
            },
            Unmanaged.passUnretained(self).toOpaque()
        )
    }

    /// Has the calling thread's tasks go to the pool again.
    package static func releaseThread() { ct_set_route(nil, nil) }

    private func add(_ job: UnownedJob) {
        let isFirst = state.withLock { state in
            state.jobs.append(job)
            return state.jobs.count == 1
        }
        if isFirst { event.ring() }
    }

    /// Ends the thread when it has passed on what it was given. No thread may be adopted any more.
    package func close() {
        state.withLock { $0.isClosed = true }
        event.ring()
    }

    private func forward() {
        var isClosed = false
        while !isClosed {
            event.wait()
            var jobs: [UnownedJob] = []
            state.withLock { state in
                swap(&jobs, &state.jobs)
                isClosed = state.isClosed
            }
            for job in jobs { unsafe ct_give_to_pool(unsafeBitCast(job, to: UnsafeMutableRawPointer.self)) }
        }
    }
}
