// SPDX-License-Identifier: Apache-2.0

internal import SpindleSystem

/// Where the tasks of one reactor wait for input: an executor that runs nothing.
///
/// A task that goes there ends its step, and its next one is left with the connection, until input comes and the
/// reactor runs it as one of its own. To the runtime that is a change of executor: 455 instructions less for each
/// message (decision 0013) than a continuation, whose wait is noted in the task's records under a lock, and which has
/// two changes.
@usableFromInline @safe actor WaitingRoom: SerialExecutor {
    /// Whose input the task waits for that comes next. On the reactor's thread, as everything here.
    nonisolated(unsafe) private var next: BorrowedConnection?
    private var visitCount = 0

    /// The room itself.
    @usableFromInline nonisolated var unownedExecutor: UnownedSerialExecutor {
        unsafe UnownedSerialExecutor(ordinary: self)
    }

    /// Says whose input `wait` is about, right before it.
    @inline(__always)
    nonisolated func prepare(for connection: BorrowedConnection) { unsafe next = connection }

    /// Suspends the calling task until its connection has input, or ends. It was prepared for that.
    @usableFromInline func wait() {
        // Something to do in here: the compiler leaves out the way to a place where nothing is done.
        visitCount &+= 1
    }

    /// Leaves the task's next step with its connection. Called by Swift's runtime, on the reactor's thread.
    @usableFromInline nonisolated func enqueue(_ job: consuming ExecutorJob) {
        let task = UnownedJob(job)
        unsafe next?.use { $0.awaitInput(task) }
    }
}
