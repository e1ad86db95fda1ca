// SPDX-License-Identifier: Apache-2.0

extension Reactor {
    /// Calls `body` on this reactor in the next turn. An error that it throws is logged.
    public func callSoon(_ body: @escaping () throws -> Void) {
        preconditionCurrent()
        jobs.own.append(body)
    }

    /// Runs the closures that were queued before this phase began, those that are added meanwhile wait for the next
    /// turn; then tasks.
    func runJobs() {
        guard !jobs.isEmpty || !tasks.isEmpty else { return }
        // Both counted before either runs.
        let foreignCount = min(jobs.foreign.count, configuration.jobBudget)
        let count = min(jobs.own.count, configuration.jobBudget)
        for _ in 0..<count { if let job = jobs.own.popFirst() { guarded("a job", job) } }
        for _ in 0..<foreignCount { if let job = jobs.foreign.popFirst() { guarded("a job", job) } }
        counters.add(.jobsRun, foreignCount + count)
        runTasks(atMost: configuration.jobBudget)
        recorder.end(.jobs)
    }
}
