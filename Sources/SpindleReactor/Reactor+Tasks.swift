// SPDX-License-Identifier: Apache-2.0

internal import SpindleCore
internal import SpindleSystem

/// Swift tasks, step by step: from where one can go on to where it has to wait.
extension Reactor {
    /// Steps after one event: what it let go on, and what that let go on. The rest runs after the next event or in the
    /// jobs phase, so that tasks which always go on keep nobody waiting.
    static var tasksPerEvent: Int { 32 }

    /// Adds a task that can go on, when the reactor of the calling thread is the one with this handle.
    static func append(_ task: UnownedJob, ifCurrentIs handle: ReactorHandle) -> Bool {
        guard let pointer = unsafe SystemThread.local else { return false }
        // The mark is set by the reactor itself and taken back before it goes. Not counted as a reference.
        return unsafe Unmanaged<Reactor>.fromOpaque(pointer)._withUnsafeGuaranteedRef { reactor in
            guard reactor.handle === handle else { return false }
            reactor.jobs.tasks.append(task)
            return true
        }
    }

    /// Has tasks that live here stay here: their steps come back to the reactor's list and not to Swift's global pool.
    ///
    /// Two kinds would go there by way of the runtime: a task that is resumed (it is given to the pool, to hop to its
    /// actor from there), and one that calls a function which is isolated to nothing. An executor preference would
    /// keep both, too, but costs each step two looks into the task's records under a lock: 960 of 3,560 instructions.
    static func claimTasks() { _ = claim }

    private static let claim: Void = unsafe TaskClaim.install { job in
        guard let job = unsafe job, let pointer = unsafe SystemThread.local else { return 0 }
        let task = unsafe unsafeBitCast(job, to: UnownedJob.self)
        return unsafe Unmanaged<Reactor>.fromOpaque(pointer)._withUnsafeGuaranteedRef { reactor in
            guard reactor.isResuming || reactor.runningTask == UInt(bitPattern: job) else { return 0 }
            reactor.isResuming = false
            reactor.jobs.tasks.append(task)
            return 1
        }
    }

    /// Resumes a task that waited here: it goes on after what is ready already.
    @inline(__always)
    func resume(_ task: Suspension) {
        isResuming = true
        task.resume()
        isResuming = false
    }

    /// Runs so many steps, oldest first, those included that become possible meanwhile.
    func runTasks(atMost limit: Int) {
        var count = 0
        while count < limit, let task = jobs.tasks.popFirst() {
            count += 1
            runningTask = unsafe unsafeBitCast(task, to: UInt.self)
            handle.run(task)
            if corked != .none { sendWhatTaskWrote() }
        }
        runningTask = 0
        counters.add(.taskSteps, count)
    }

    /// What a step wrote to a connection leaves when the step ends, as with a callback.
    func sendWhatTaskWrote() {
        let token = corked
        table.resolve(token)?.use { $0.pullEnded() }
        if corked == token {
            cork.removeAll()
            corked = .none
        }
    }

    /// Lets the tasks that wait for the connection look again: one of them was cancelled.
    func resumeWaiting(_ token: EventToken) {
        table.resolve(token)?.use { ($0.proto as? HandlerProtocol)?.resumeWaiting() }
    }

    /// Turns until the handlers of connections have ended, their tasks were cancelled, or `limit` has passed.
    package func finishHandlers(within limit: Duration) {
        perform {
            let end = driver.now().advanced(by: limit)
            while runningHandlers > 0, driver.now() < end { turn(maximumWait: 1_000_000) }
            guard runningHandlers > 0 else { return }
            let message = "\(runningHandlers) handlers of connections have not ended; they go on elsewhere"
            log.write(LogRecord(level: .warning, message: message, reactor: index))
        }
    }
}
