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

    /// Runs so many steps, oldest first, those included that become possible meanwhile.
    func runTasks(atMost limit: Int) {
        var count = 0
        while count < limit, let task = jobs.tasks.popFirst() {
            count += 1
            unsafe task.runSynchronously(
                isolatedTo: handle.asUnownedSerialExecutor(),
                taskExecutor: handle.asUnownedTaskExecutor()
            )
            if corked != .none { sendWhatTaskWrote() }
        }
        counters.add(.taskSteps, count)
    }

    /// What a step wrote to a connection leaves when the step ends, as with a callback.
    func sendWhatTaskWrote() {
        let token = corked
        table.resolve(token)?.use { connection in
            if connection.state.isLive { connection.sendCork() } else { cork.removeAll() }
            corked = .none
            settle(connection)
        }
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
