// SPDX-License-Identifier: Apache-2.0

public import SpindleCore
internal import SpindleSystem
internal import Synchronization

/// The clock that a reactor's timers follow, for Swift tasks: a simulated reactor's is the simulation's.
///
/// Sleeping costs a timer of the reactor and no thread. A sleep never ends early, unless the task is cancelled or the
/// reactor stops.
public struct ReactorClock: Clock {
    /// The reactor whose timers are used.
    public let reactor: ReactorHandle

    /// The clock of this reactor.
    public init(_ reactor: ReactorHandle) { self.reactor = reactor }

    /// The time now. On another thread than the reactor's it is the system's (CLOCK_MONOTONIC), simulated or not.
    public var now: MonotonicInstant {
        guard let current = Reactor.current, current.handle === reactor else { return SystemClock.now() }
        return current.readClock()
    }

    /// A tick of the timers: sleeps end up to so much late.
    public var minimumResolution: Duration { .nanoseconds(1 << 16) }

    /// Suspends the task until `deadline`, or a little later.
    ///
    /// - Parameters:
    ///   - deadline: One that has passed lets the task go on in the next turn.
    ///   - tolerance: Not used: sleeps end at the first tick at or after the deadline.
    /// - Throws: `CancellationError` when the task is cancelled, or the reactor has stopped.
    public func sleep(until deadline: MonotonicInstant, tolerance: Duration? = nil) async throws {
        try await reactor.execute { isolation in try await Sleep(reactor).wait(until: deadline, isolation) }
    }
}

/// One sleep of one task. The timer is the reactor's own; what crosses threads is the wish to end it.
private final class Sleep: Sendable {
    private let handle: ReactorHandle
    private let timer = Guarded(TimerWheel<TimerAction>.ID.none)

    init(_ handle: ReactorHandle) { self.handle = handle }

    func wait(until deadline: MonotonicInstant, _ isolation: isolated ReactorHandle) async throws {
        try Task.checkCancellation()
        await withTaskCancellationHandler {
            _ = isolation
            await Suspension.wait { begin($0, until: deadline) }
        } onCancel: {
            handle.submitAlways { self.end() }
        }
        guard !Task.isCancelled, let reactor = Reactor.current, reactor.readClock() >= deadline else {
            throw CancellationError()
        }
    }

    private func begin(_ task: Suspension, until deadline: MonotonicInstant) {
        // After the reactor has stopped the task is resumed by nobody else.
        guard let reactor = Reactor.current, reactor.handle === handle else { return task.resume() }
        // Cancelled before there was a timer: what was submitted has run in vain, or runs soon.
        let tick = Task.isCancelled ? 0 : Ticks.ceiling(deadline)
        timer.withLock { $0 = reactor.wheel.schedule(at: tick, .resume(task)) }
    }

    /// On the reactor.
    private func end() {
        guard let reactor = Reactor.current, case .resume(let task)? = reactor.wheel.cancel(timer.withLock { $0 })
        else {
            return
        }
        reactor.resume(task)
    }
}

extension StreamConnection {
    /// Suspends the handler for `duration`, on its reactor's timers; bytes that come meanwhile stay in the kernel.
    ///
    /// - Throws: `CancellationError` when the task is cancelled, or the engine stops.
    public nonisolated(nonsending) func sleep(for duration: Duration) async throws {
        let clock = ReactorClock(reactor)
        try await clock.sleep(until: clock.now.advanced(by: duration))
    }
}
