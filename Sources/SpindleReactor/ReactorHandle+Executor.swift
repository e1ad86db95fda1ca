// SPDX-License-Identifier: Apache-2.0

internal import SpindleSystem

/// A reactor runs Swift tasks: actors can live on it, and tasks prefer it.
///
/// A task that can go on is put at the end of the reactor's list, without any atomic operation when that happens on
/// the reactor itself, and runs right after the event that is being handled or in the jobs phase of the turn. From
/// another reactor it comes by mailbox, from another thread through the inbox, in order, and is never refused. What is
/// enqueued after the reactor has stopped runs on Swift's global pool, one after the other, so that every task ends.
extension ReactorHandle: SerialExecutor, TaskExecutor {
    /// Has the job run on the reactor. From any thread; called by Swift's runtime.
    public func enqueue(_ job: consuming ExecutorJob) {
        let task = UnownedJob(job)
        if Reactor.append(task, to: self) { return }
        if pushed(inbox.push(InboxJob(.task(task)), isLimited: false)) == .stopped { lateTasks.enqueue(task, of: self) }
    }

    /// The reactor as an executor: what the runtime compares to see that no hop is needed.
    public func asUnownedSerialExecutor() -> UnownedSerialExecutor { unsafe UnownedSerialExecutor(ordinary: self) }

    /// The reactor as what tasks prefer.
    public func asUnownedTaskExecutor() -> UnownedTaskExecutor { unsafe UnownedTaskExecutor(ordinary: self) }

    /// Runs a step of a task on the calling thread, which is the reactor's.
    @inline(__always)
    func run(_ task: UnownedJob) {
        // Not as a task executor as well: the runtime takes a task without that preference for one on the wrong
        // executor then, and has it hop to where it is.
        unsafe task.runSynchronously(on: UnownedSerialExecutor(ordinary: self))
    }

    /// Traps when the calling thread does not run this reactor: what `assumeIsolated` asks.
    public func checkIsolated() {
        precondition(isCurrent, "reactor \(index) is not what runs on this thread")
    }

    /// True when the calling thread runs this reactor, so that `Task.immediate` begins at once.
    public func isIsolatingCurrentContext() -> Bool? { isCurrent }

    private var isCurrent: Bool { Reactor.current?.handle === self || lateTasks.runsHere }

    /// Runs `body` isolated to the reactor and returns what it returns. From anywhere.
    ///
    /// After the reactor has stopped it still runs, on Swift's global pool: see `StreamConnection` for what works then.
    public func execute<Result: Sendable>(
        _ body: @Sendable (isolated ReactorActor) async throws -> Result
    ) async rethrows -> Result {
        try await body(ReactorActor(self))
    }
}

/// What code on one reactor is isolated to: an actor without state whose executor is the reactor.
///
/// Two of the same reactor run their code on the same thread, and going from one to the other is no hop. To have an
/// actor of your own live on a reactor, give it the reactor's executor:
///
///     actor Counter {
///         let reactor: ReactorHandle
///         nonisolated var unownedExecutor: UnownedSerialExecutor { reactor.asUnownedSerialExecutor() }
///     }
public actor ReactorActor {
    /// The reactor, as other threads may hold it.
    public nonisolated let handle: ReactorHandle

    /// The reactor's executor.
    public nonisolated var unownedExecutor: UnownedSerialExecutor {
        // The actor holds the handle, which is what the executor is.
        unsafe handle.asUnownedSerialExecutor()
    }

    /// The isolation of this reactor.
    public init(_ handle: ReactorHandle) { self.handle = handle }
}
