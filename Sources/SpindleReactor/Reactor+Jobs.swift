// SPDX-License-Identifier: Apache-2.0

extension Reactor {
    /// Calls `body` on this reactor in the next turn. An error that it throws is logged.
    public func callSoon(_ body: @escaping () throws -> Void) {
        preconditionCurrent()
        jobs.own.append(body)
    }

    /// Runs what was queued before this phase began; what is added meanwhile waits for the next turn.
    func runJobs() {
        guard !jobs.isEmpty else { return }
        // Both counted before either runs.
        let foreignCount = min(jobs.foreign.count, configuration.jobBudget)
        let count = min(jobs.own.count, configuration.jobBudget)
        for _ in 0..<count { if let job = jobs.own.popFirst() { guarded("a job", job) } }
        for _ in 0..<foreignCount { if let job = jobs.foreign.popFirst() { guarded("a job", job) } }
        counters.add(.jobsRun, foreignCount + count)
        recorder.end(.jobs)
    }
}
