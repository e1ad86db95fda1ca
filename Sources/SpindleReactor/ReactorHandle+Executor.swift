// SPDX-License-Identifier: Apache-2.0

internal import SpindleSystem

/// A reactor runs Swift tasks: actors can live on it, and tasks prefer it.
///
///     actor Counter {
///         let reactor: ReactorHandle
///         nonisolated var unownedExecutor: UnownedSerialExecutor { reactor.asUnownedSerialExecutor() }
///     }
///
/// Two actors of the same reactor run their code on the same thread, and going from one to the other is no hop.
///
/// A task that can go on is put at the end of the reactor's list, without any atomic operation when that happens on
/// the reactor itself, and runs right after the event that is being handled or in the jobs phase of the turn. From
/// another reactor it comes by mailbox, from another thread through the inbox, in order, and is never refused. What is
/// enqueued after the reactor has stopped runs on Swift's global pool, one after the other, so that every task ends.
extension ReactorHandle: SerialExecutor, TaskExecutor {
    /// Has the job run on the reactor. From any thread; called by Swift's runtime.
    public nonisolated func enqueue(_ job: consuming ExecutorJob) {
        let task = UnownedJob(job)
        if Reactor.append(task, to: self) { return }
        if pushed(inbox.push(InboxJob(.task(task)), isLimited: false)) == .stopped { lateTasks.enqueue(task, of: self) }
    }

    /// The reactor as an executor: what the runtime compares to see that no hop is needed.
    public nonisolated func asUnownedSerialExecutor() -> UnownedSerialExecutor {
        unsafe UnownedSerialExecutor(ordinary: self)
    }

    /// The reactor, which the handle as an actor is on.
    public nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe asUnownedSerialExecutor() }

    /// The reactor as what tasks prefer.
    public nonisolated func asUnownedTaskExecutor() -> UnownedTaskExecutor {
        unsafe UnownedTaskExecutor(ordinary: self)
    }

    /// Runs a step of a task on the calling thread, which is the reactor's.
    @inline(__always)
    nonisolated func run(_ task: UnownedJob) {
        // Not as a task executor as well: the runtime takes a task without that preference for one on the wrong
        // executor then, and has it hop to where it is.
        unsafe task.runSynchronously(on: UnownedSerialExecutor(ordinary: self))
    }

    /// Traps when the calling thread does not run this reactor: what `assumeIsolated` asks.
    public nonisolated func checkIsolated() {
        precondition(isCurrent, "reactor \(index) is not what runs on this thread")
    }

    /// Traps when the calling thread does not run this reactor. Here once more: the standard library has it for actors
    /// and for executors.
    public nonisolated func preconditionIsolated(
        _ message: @autoclosure () -> String = String(),
        file: StaticString = #fileID,
        line: UInt = #line
    ) {
        precondition(
            isCurrent,
            "reactor \(index) is not what runs on this thread. \(message())",
            file: file,
            line: line
        )
    }

    /// As `preconditionIsolated`, in debug builds only.
    public nonisolated func assertIsolated(
        _ message: @autoclosure () -> String = String(),
        file: StaticString = #fileID,
        line: UInt = #line
    ) {
        assert(isCurrent, "reactor \(index) is not what runs on this thread. \(message())", file: file, line: line)
    }

    /// True when the calling thread runs this reactor, so that `Task.immediate` begins at once.
    public nonisolated func isIsolatingCurrentContext() -> Bool? { isCurrent }

    private nonisolated var isCurrent: Bool { Reactor.current?.handle === self || lateTasks.runsHere }

    /// Runs `body` isolated to the reactor and returns what it returns. From anywhere.
    ///
    /// After the reactor has stopped it still runs, on Swift's global pool: see `StreamConnection` for what works then.
    public nonisolated func execute<Result: Sendable>(
        _ body: @Sendable (isolated ReactorHandle) async throws -> Result
    ) async rethrows -> Result {
        try await body(self)
    }
}
