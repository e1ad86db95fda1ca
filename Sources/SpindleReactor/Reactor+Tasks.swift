// SPDX-License-Identifier: Apache-2.0

internal import SpindleCore
internal import SpindleSystem

/// Swift tasks, step by step: from where one can go on to where it has to wait.
extension Reactor {
    /// Steps after one event: what it let go on, and what that let go on. The rest runs after the next event or in the
    /// jobs phase, so that tasks which always go on keep nobody waiting.
    static var tasksPerEvent: Int { 32 }

    /// Has a task that waited here go on here: the runtime gives what is resumed to Swift's global pool, to hop to its
    /// actor from there.
    ///
    /// An executor preference would keep it, too, but costs each step two looks into the task's records under a lock:
    /// 960 instructions of 3,560.
    static func claimTasks() { _ = claim }

    private static let claim: Void = unsafe TaskClaim.install { job in
        guard let job = unsafe job, let pointer = unsafe SystemThread.local else { return 0 }
        let task = unsafe unsafeBitCast(job, to: UnownedJob.self)
        return unsafe Unmanaged<Reactor>.fromOpaque(pointer)._withUnsafeGuaranteedRef { reactor in
            guard reactor.isResuming else { return 0 }
            reactor.isResuming = false
            reactor.tasks.append(task)
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

    /// Starts a task that is isolated to the reactor; its first step comes after what runs now.
    @discardableResult
    package func startTask(
        _ body: @escaping @Sendable (isolated ReactorHandle) async -> Void
    ) -> Task<Void, Never> {
        preconditionCurrent()
        return isolation.assumeIsolated { isolation in Task { await body(isolation) } }
    }

    /// Runs so many steps, oldest first, those included that become possible meanwhile.
    func runTasks(atMost limit: Int) {
        var count = 0
        while count < limit, let task = tasks.popFirst() {
            count += 1
            runStep(task)
        }
    }

    /// Runs one step, and sends what it wrote.
    @inline(__always)
    func runStep(_ task: UnownedJob) {
        isRunningStep = true
        handle.run(task)
        isRunningStep = false
        if corked != .none { sendWhatTaskWrote() }
        counters.add(.taskSteps)
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

    /// Cancels the handlers of connections and turns until they have ended, or `limit` has passed (of the system's
    /// time: a simulation's may stand still).
    package func finishHandlers(within limit: Duration) {
        perform {
            for stream in handlers.values { stream.cancel() }
            for endpoint in endpoints { endpoint.cancel() }
            let end = SystemClock.now().advanced(by: limit)
            goOn { handlers.count + endpoints.count > 0 && SystemClock.now() < end }
            guard handlers.count + endpoints.count > 0 else { return }
            let message =
                "\(handlers.count + endpoints.count) handlers of connections and UDP sockets have not ended; they go "
                + "on elsewhere"
            log.write(LogRecord(level: .warning, message: message, reactor: index))
        }
    }
}
