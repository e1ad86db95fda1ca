// SPDX-License-Identifier: Apache-2.0

internal import SpindleCore
internal import SpindleSystem
internal import Synchronization

/// When in a start or stop a trigger runs.
public enum TriggerPhase: Sendable, CaseIterable {
    /// Before anything of the engine's has begun: reactors are not made yet, or still serve.
    case before
    /// Reactors run without listeners, or with their connections drained.
    case during
    /// All done.
    case after
}

/// Names a trigger, to remove it by.
public struct TriggerID: Hashable, Sendable {
    let number: Int
}

/// The triggers of an engine, in the order in which they were added.
struct TriggerList {
    struct Startup {
        let id: TriggerID
        let phase: TriggerPhase
        let body: @Sendable () throws -> Void
    }
    struct Shutdown {
        let id: TriggerID
        let phase: TriggerPhase
        let body: @Sendable () async throws -> Void
    }

    var startup: [Startup] = []
    var shutdown: [Shutdown] = []
    private var count = 0

    mutating func nextID() -> TriggerID {
        count += 1
        return TriggerID(number: count)
    }
}

extension Engine {
    /// Runs `body` at every start, in `phase`. A throwing one in `before` or `during` fails the start.
    @discardableResult
    public func addStartupTrigger(_ phase: TriggerPhase, _ body: @escaping @Sendable () throws -> Void) -> TriggerID {
        state.withLock {
            let id = $0.triggers.nextID()
            $0.triggers.startup.append(TriggerList.Startup(id: id, phase: phase, body: body))
            return id
        }
    }

    /// Runs `body` at every stop, in `phase`; the stop goes on when all of a phase have returned, or at its deadline.
    ///
    /// All of a phase run at once. An error is logged and changes nothing else.
    @discardableResult
    public func addShutdownTrigger(
        _ phase: TriggerPhase,
        _ body: @escaping @Sendable () async throws -> Void
    ) -> TriggerID {
        state.withLock {
            let id = $0.triggers.nextID()
            $0.triggers.shutdown.append(TriggerList.Shutdown(id: id, phase: phase, body: body))
            return id
        }
    }

    /// Removes a trigger; false when it was removed before.
    @discardableResult
    public func removeTrigger(_ id: TriggerID) -> Bool {
        state.withLock {
            let before = $0.triggers.startup.count + $0.triggers.shutdown.count
            $0.triggers.startup.removeAll { $0.id == id }
            $0.triggers.shutdown.removeAll { $0.id == id }
            return $0.triggers.startup.count + $0.triggers.shutdown.count < before
        }
    }

    func runStartupTriggers(_ phase: TriggerPhase) throws {
        for trigger in state.withLock(\.triggers.startup) where trigger.phase == phase { try trigger.body() }
    }

    /// Runs the triggers of a phase together and returns when all have, or when the deadline has passed.
    func runShutdownTriggers(_ phase: TriggerPhase, until end: MonotonicInstant) async {
        let triggers = state.withLock(\.triggers.shutdown).filter { $0.phase == phase }
        guard !triggers.isEmpty else { return }
        let log = log
        await Deadline.run(until: end) {
            await withTaskGroup(of: Void.self) { group in
                for trigger in triggers {
                    group.addTask {
                        do { try await trigger.body() } catch {
                            log.write(LogRecord(level: .error, message: "a shutdown trigger threw \(error)"))
                        }
                    }
                }
            }
        } missed: {
            log.write(LogRecord(level: .warning, message: "shutdown triggers missed the deadline; the stop goes on"))
        }
    }
}

/// A limit on how long something asynchronous is waited for.
enum Deadline {
    /// Runs `body`, and returns when it has or, cancelling it and calling `missed`, when `end` has come.
    static func run(
        until end: MonotonicInstant,
        _ body: @escaping @Sendable () async -> Void,
        missed: @escaping @Sendable () -> Void
    ) async {
        // Not a task group: that would wait for a body that ignores its cancellation.
        let (finished, continuation) = AsyncStream.makeStream(of: Bool.self)
        let work = Task.detached {
            await body()
            continuation.yield(true)
        }
        let timer = Task.detached {
            let left = SystemClock.now().duration(to: end)
            if left > .zero { try? await ContinuousClock().sleep(for: left) }
            continuation.yield(false)
        }
        // In a task of its own: the stop goes on though whoever asked for it was cancelled.
        let isDone = await Task.detached { await finished.first { _ in true } ?? true }.value
        if !isDone { missed() }
        work.cancel()
        timer.cancel()
    }
}
