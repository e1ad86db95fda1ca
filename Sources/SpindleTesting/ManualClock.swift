// SPDX-License-Identifier: Apache-2.0

public import SpindleCore
internal import SpindleSystem

/// A clock that stands still until a test moves it: Swift's `Clock` for code that takes its clock as a parameter.
///
/// From any thread. Timers of reactors follow the simulated network's time instead (`ScriptedConnection.advance`).
public final class ManualClock: Clock {
    private struct Sleeper {
        let id: Int
        let deadline: MonotonicInstant
        let continuation: CheckedContinuation<Void, any Error>
    }

    private struct State {
        var now: MonotonicInstant
        var sleepers: [Sleeper] = []
        var nextID = 0
        /// Cancelled before they slept.
        var cancelled: Set<Int> = []
    }

    private let state: Guarded<State>

    /// A clock that shows `start`.
    public init(start: MonotonicInstant = MonotonicInstant(nanoseconds: 1_000_000_000_000)) {
        state = Guarded(State(now: start))
    }

    /// The time that the test has made it.
    public var now: MonotonicInstant { state.withLock(\.now) }

    /// Any time can be told from any other.
    public var minimumResolution: Duration { .nanoseconds(1) }

    /// How many tasks sleep now: what a test waits for before it moves the clock.
    public var sleeperCount: Int { state.withLock(\.sleepers.count) }

    /// Moves the clock, and lets those go on whose time has come, the earliest first.
    ///
    /// - Parameter duration: Not negative.
    public func advance(by duration: Duration) {
        precondition(duration >= .zero, "time does not run backwards: \(duration)")
        let awake = state.withLock { state in
            state.now = state.now.advanced(by: duration)
            let now = state.now
            let awake = state.sleepers.filter { $0.deadline <= now }
            state.sleepers.removeAll { $0.deadline <= now }
            return awake.sorted { ($0.deadline, $0.id) < ($1.deadline, $1.id) }
        }
        for sleeper in awake { sleeper.continuation.resume() }
    }

    /// Suspends the task until the test has moved the clock to `deadline`.
    ///
    /// - Throws: `CancellationError` when the task is cancelled.
    public func sleep(until deadline: MonotonicInstant, tolerance: Duration? = nil) async throws {
        let id = state.withLock { state in
            state.nextID += 1
            return state.nextID
        }
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                let outcome: Result<Void, any Error>? = state.withLock { state in
                    if state.cancelled.remove(id) != nil { return .failure(CancellationError()) }
                    if deadline <= state.now { return .success(()) }
                    state.sleepers.append(Sleeper(id: id, deadline: deadline, continuation: continuation))
                    return nil
                }
                if let outcome { continuation.resume(with: outcome) }
            }
        } onCancel: {
            let sleeper = state.withLock { state in
                guard let index = state.sleepers.firstIndex(where: { $0.id == id }) else {
                    state.cancelled.insert(id)
                    return Sleeper?.none
                }
                return state.sleepers.remove(at: index)
            }
            sleeper?.continuation.resume(throwing: CancellationError())
        }
        state.withLock { _ = $0.cancelled.remove(id) }
    }
}
