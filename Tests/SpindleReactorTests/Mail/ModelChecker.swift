// SPDX-License-Identifier: Apache-2.0

/// What an exploration has found.
struct ModelReport {
    let stateCount: Int
    let stepCount: Int
    /// The first thing that went wrong, on a shortest path, or nil.
    let violation: String?
    /// The steps that lead there.
    let schedule: [String]
}

/// Runs programs in every interleaving, and with every delay of their stores, in the spirit of tokio-rs/loom.
///
/// The programs are run themselves, not a description of them: from its last mark each is executed again with the
/// results recorded so far, up to its next operation. States that were seen are not entered again. Breadth first,
/// so that a counterexample is a shortest one.
struct ModelChecker {
    let order: ModelOrder
    let programs: [ModelProgram]
    let initial: ModelState
    /// Says what is wrong with a state, whether final or not.
    let judge: (ModelState) -> String?

    /// What a thread did: executed its operation, or saw the store at `place` of its buffer reach memory.
    private struct Step {
        let thread: Int
        var place: Int?
        var outcome: UInt64 = 0
    }

    private struct Exploration {
        var states: [ModelState] = []
        var indices: [ModelState: Int] = [:]
        /// How each state was reached first.
        var parents: [(state: Int, step: Step)] = []
        var predecessors: [[Int32]] = []
    }

    init(
        _ order: ModelOrder,
        memory: [UInt64],
        threads: [(locals: [UInt64], program: ModelProgram)],
        judge: @escaping (ModelState) -> String?
    ) {
        self.order = order
        self.judge = judge
        programs = threads.map { $0.program }
        initial = ModelState(memory: memory, threads: threads.map { ModelState.Thread(locals: $0.locals) })
    }

    func explore() -> ModelReport {
        let runner = ModelThread()
        var found = Exploration()
        var first = initial
        for thread in programs.indices { _ = settle(&first, thread, runner) }
        _ = add(first, from: -1, Step(thread: 0), to: &found)
        var current = 0
        var stepCount = 0
        while current < found.states.count {
            let state = found.states[current]
            let successors = successors(of: state, runner)
            if successors.isEmpty, !state.isFinished {
                return report("stuck: \(describe(state))", at: current, stepCount, found)
            }
            for (next, step, failure) in successors {
                stepCount += 1
                let index = add(next, from: current, step, to: &found)
                if let violation = failure ?? judge(next) { return report(violation, at: index, stepCount, found) }
            }
            current += 1
        }
        let trapped = firstWithoutEnd(found)
        return report(trapped == nil ? nil : "the end can't be reached any more", at: trapped ?? 0, stepCount, found)
    }

    private func successors(of state: ModelState, _ runner: ModelThread) -> [(ModelState, Step, String?)] {
        var result: [(ModelState, Step, String?)] = []
        for thread in programs.indices {
            for place in state.flushable(thread, order) {
                var next = state
                next.flush(thread, place)
                result.append((next, Step(thread: thread, place: place), nil))
            }
            for outcome in state.outcomes(thread) {
                var next = state
                next.execute(thread, outcome: outcome)
                let failure = settle(&next, thread, runner)
                result.append((next, Step(thread: thread, outcome: outcome), failure))
            }
        }
        return result
    }

    /// Runs the program of `thread` up to its next operation.
    ///
    /// - Returns: What the program found wrong.
    private func settle(_ state: inout ModelState, _ thread: Int, _ runner: ModelThread) -> String? {
        while true {
            runner.restart(with: state.threads[thread].results)
            do throws(ModelInterruption) {
                let locals = try programs[thread](runner, state.threads[thread].locals)
                state.threads[thread].results = []
                state.threads[thread].pending = nil
                state.threads[thread].locals = locals ?? []
                state.threads[thread].isFinished = locals == nil
                if locals == nil || runner.failure != nil { return runner.failure }
            } catch {
                state.threads[thread].pending = runner.pending
                return runner.failure
            }
        }
    }

    private func add(_ state: ModelState, from parent: Int, _ step: Step, to found: inout Exploration) -> Int {
        let index = found.indices[state] ?? found.states.count
        if index == found.states.count {
            found.indices[state] = index
            found.states.append(state)
            found.parents.append((parent, step))
            found.predecessors.append([])
        }
        if parent >= 0 { found.predecessors[index].append(Int32(parent)) }
        return index
    }

    /// A state from which no sequence of steps leads to the end of all threads: a livelock.
    private func firstWithoutEnd(_ found: Exploration) -> Int? {
        var reaches = Array(repeating: false, count: found.states.count)
        var open = found.states.indices.filter { found.states[$0].isFinished }
        for index in open { reaches[index] = true }
        while let index = open.popLast() {
            for parent in found.predecessors[index] where !reaches[Int(parent)] {
                reaches[Int(parent)] = true
                open.append(Int(parent))
            }
        }
        return reaches.firstIndex(of: false)
    }

    private func report(_ violation: String?, at index: Int, _ stepCount: Int, _ found: Exploration) -> ModelReport {
        var schedule: [String] = []
        var state = index
        while violation != nil, state > 0 {
            let (parent, step) = found.parents[state]
            schedule.append(describe(step, in: found.states[parent]))
            state = parent
        }
        return ModelReport(
            stateCount: found.states.count,
            stepCount: stepCount,
            violation: violation,
            schedule: schedule.reversed()
        )
    }

    private func describe(_ step: Step, in state: ModelState) -> String {
        let thread = state.threads[step.thread]
        guard let place = step.place else { return "\(step.thread): \(describe(thread.pending)) -> \(step.outcome)" }
        return "\(step.thread): [\(thread.buffer[place].location)] = \(thread.buffer[place].value) reaches memory"
    }

    private func describe(_ operation: ModelOperation?) -> String {
        operation.map { "\($0.kind) [\($0.location)] \($0.value)" } ?? "-"
    }

    private func describe(_ state: ModelState) -> String {
        let threads = state.threads.enumerated().map { "\($0): \(describe($1.pending))" }
        return threads.joined(separator: ", ") + ", memory \(state.memory)"
    }
}
