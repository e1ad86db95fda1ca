// SPDX-License-Identifier: Apache-2.0

extension Reactor {
    /// Calls `body` on this reactor in the next turn. An error that it throws is logged.
    public func callSoon(_ body: @escaping () throws -> Void) {
        preconditionCurrent()
        jobs.append(body)
    }

    /// Runs what was queued before this phase began; what is added meanwhile waits for the next turn.
    func runJobs() {
        guard !jobs.isEmpty else { return }
        recorder.begin(.jobs)
        let batch = min(jobs.count, configuration.jobBudget)
        for _ in 0..<batch {
            guard let job = jobs.popFirst() else { break }
            guarded("a job", job)
        }
        counters.add(.jobsRun, batch)
        recorder.end(.jobs)
    }
}
