// SPDX-License-Identifier: Apache-2.0

internal import SpindleCore

/// What a timer of the wheel does when it fires.
enum TimerAction {
    case call(() throws -> Void)
    case repeating(RepeatingTimer)
    /// Lets a task go on that sleeps.
    case resume(Suspension)
    /// Looks at the connection's deadlines.
    case connection(EventToken)
    /// Looks for room for tasks that are on their way to other reactors.
    case hops
    /// Lets a listener try again.
    case listener(Acceptor)
}

extension Reactor {
    /// Calls `body` once, on this reactor, `delay` from now or a little later, never earlier.
    ///
    /// The delay counts from this call, not from the start of the turn. Timers fire by due time, rounded up to
    /// ticks of 65.5 µs, and among equals in the order of calls. A delay of zero means the next turn, after the
    /// timers that are due by then. An error that `body` throws is logged.
    ///
    /// - Parameters:
    ///   - delay: Not negative.
    ///   - body: Runs once on this reactor.
    @discardableResult
    public func callLater(_ delay: Duration, _ body: @escaping () throws -> Void) -> ReactorTimer {
        preconditionCurrent()
        return ReactorTimer(reactor: self, id: wheel.schedule(at: tick(after: delay), .call(body)))
    }

    /// Calls `body` every `interval`, without drift: calls whose time passed while one ran are skipped and counted.
    ///
    /// - Parameters:
    ///   - interval: More than zero.
    ///   - immediately: The first call comes in the next turn rather than after one interval.
    ///   - body: Gets the number of turns that were skipped since its last call. An error ends the timer and is logged.
    @discardableResult
    public func callRepeatedly(
        every interval: Duration,
        immediately: Bool = false,
        _ body: @escaping (_ skipped: Int) throws -> Void
    ) -> RepeatingTimer {
        startRepeating(
            RepeatingTimer(reactor: self, interval: interval, waitsForResult: false) { skipped, _ in
                try body(skipped)
            },
            immediately
        )
    }

    /// As `callRepeatedly` of a closure, but a call comes only when the last one has returned, however long it waits;
    /// its task is isolated to the reactor. `stop` does not cancel the one that runs.
    @discardableResult
    public func callRepeatedly(
        every interval: Duration,
        immediately: Bool = false,
        waitingFor body: @escaping (_ skipped: Int) async throws -> Void
    ) -> RepeatingTimer {
        callRepeatedly(every: interval, immediately: immediately) { [unowned self] skipped, timer in
            // Used by the reactor's thread alone: the task is isolated to it.
            nonisolated(unsafe) let (unsafeBody, unsafeTimer) = (body, timer)
            startTask { isolation in
                let result = await Reactor.perform(unsafe unsafeBody, skipped, isolation)
                unsafe unsafeTimer.goOn(result)
            }
        }
    }

    private static func perform(
        _ body: (Int) async throws -> Void,
        _ skipped: Int,
        _ isolation: isolated ReactorHandle
    ) async -> Result<Void, any Error> {
        do { return .success(try await body(skipped)) } catch { return .failure(error) }
    }

    /// Calls `body` every `interval`, and not again before `RepeatingTimer.goOn`.
    package func callRepeatedly(
        every interval: Duration,
        immediately: Bool,
        _ body: @escaping (_ skipped: Int, RepeatingTimer) throws -> Void
    ) -> RepeatingTimer {
        startRepeating(
            RepeatingTimer(reactor: self, interval: interval, waitsForResult: true, body: body),
            immediately
        )
    }

    private func startRepeating(_ timer: RepeatingTimer, _ immediately: Bool) -> RepeatingTimer {
        preconditionCurrent()
        timer.scheduleFirst(immediately: immediately)
        return timer
    }

    /// The tick for a delay that counts from now. Zero is a tick that has passed: due in the next turn.
    func tick(after delay: Duration) -> UInt64 {
        let nanoseconds = delay.clampedNanoseconds
        precondition(nanoseconds >= 0, "a negative delay: \(delay)")
        if strikes(.earlyTimer), nanoseconds > 0 {
            return Ticks.floor(driver.now().advanced(byNanoseconds: nanoseconds))
        }
        return nanoseconds == 0 ? 0 : Ticks.ceiling(driver.now().advanced(byNanoseconds: nanoseconds))
    }

    func expireTimers() {
        wheel.advance(to: Ticks.floor(now))
        guard wheel.hasExpired else { return }
        var fired = 0
        while fired < configuration.timerBudget, let action = wheel.popExpired() {
            fired += 1
            fire(action)
        }
        counters.add(.timersFired, fired)
        if wheel.hasExpired { counters.add(.timerBudgetExhausted) }
        recorder.end(.timers)
    }

    private func fire(_ action: TimerAction) {
        switch action {
        case .call(let body): guarded("a timer", body)
        case .repeating(let timer): timer.fire()
        case .resume(let task): resume(task)
        case .hops: sendHopsThatWait()
        case .connection(let token):
            table.resolve(token)?.use { checkDeadlines(of: $0) }
        case .listener(let acceptor):
            acceptor.restTimer = .none
            acceptLater(acceptor)
        }
    }

    /// Runs user code that has no connection to lose: an error is logged and the loop goes on.
    func guarded(_ what: @autoclosure () -> String, _ body: () throws -> Void) {
        do { try body() } catch {
            log.write(LogRecord(level: .error, message: "\(what()) threw \(error)", reactor: index))
        }
    }
}
