// SPDX-License-Identifier: Apache-2.0

internal import SpindleSystem
internal import Synchronization

/// Runs what is left of the tasks of a reactor that has stopped: one after the other, on Swift's global pool.
///
/// A task may outlive the reactor that it lives on, waiting for something else. When that comes it has to go on
/// somewhere, or it would never end and nobody who waits for it would.
final class LateTasks: Sendable {
    private struct State {
        var tasks = JobQueue<UnownedJob>()
        var isRunning = false
    }

    private let state = Guarded(State())
    /// The kernel's number of the thread that runs one at this moment; 0 when none does.
    private let runner = Atomic<Int32>(0)

    /// True on the thread that runs one of them.
    var runsHere: Bool { runner.load(ordering: .relaxed) == SystemThread.currentID }

    /// From any thread.
    func enqueue(_ task: UnownedJob, of handle: ReactorHandle) {
        let isFirst = state.withLock { state in
            state.tasks.append(task)
            defer { state.isRunning = true }
            return !state.isRunning
        }
        if isFirst { Task.detached { [self] in run(handle) } }
    }

    private func run(_ handle: ReactorHandle) {
        while let task = next() {
            runner.store(SystemThread.currentID, ordering: .relaxed)
            handle.run(task)
            runner.store(0, ordering: .relaxed)
        }
    }

    private func next() -> UnownedJob? {
        state.withLock { state in
            let task = state.tasks.popFirst()
            state.isRunning = task != nil
            return task
        }
    }
}
