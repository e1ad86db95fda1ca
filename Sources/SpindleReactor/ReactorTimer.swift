// SPDX-License-Identifier: Apache-2.0

public import SpindleCore

/// A call that is to come: what `Reactor.callLater` returns. Core-local.
///
/// Letting go of it changes nothing; the call still comes.
public struct ReactorTimer {
    let reactor: Reactor
    let id: TimerWheel<TimerAction>.ID

    /// True until the call was made or cancelled.
    public var isActive: Bool { reactor.wheel.isActive(id) }

    /// When the call is due, or nil when it is not active. Never earlier than was asked for.
    public var due: MonotonicInstant? {
        reactor.wheel.due(id).map { $0 == 0 ? reactor.now : Ticks.instant($0) }
    }

    /// Takes the call back.
    ///
    /// - Returns: False when it was made or cancelled before.
    @discardableResult
    public func cancel() -> Bool {
        reactor.preconditionCurrent()
        return reactor.wheel.cancel(id) != nil
    }

    /// Makes the call `delay` from now, sooner or later than it was to be, behind others of the same time.
    ///
    /// - Returns: False when it was made or cancelled before.
    @discardableResult
    public func reset(_ delay: Duration) -> Bool {
        reactor.preconditionCurrent()
        return reactor.wheel.reschedule(id, at: reactor.tick(after: delay))
    }

    /// Moves the call by `offset`, which may be negative; a time that has passed means the next turn.
    ///
    /// - Returns: False when it was made or cancelled before.
    @discardableResult
    public func delay(by offset: Duration) -> Bool {
        reactor.preconditionCurrent()
        guard let due else { return false }
        return reactor.wheel.reschedule(id, at: Ticks.ceiling(due.advanced(by: offset)))
    }
}

/// A call that comes again and again: what `Reactor.callRepeatedly` returns. Core-local.
public final class RepeatingTimer {
    private let reactor: Reactor
    private let interval: Duration
    private let body: (Int, RepeatingTimer) throws -> Void
    /// The next call waits for `goOn`.
    private let waitsForResult: Bool
    private var isWaiting = false
    /// Called once when the timer ends: with the error that ended it, or without.
    package var onEnd: (((any Error)?) -> Void)?
    private var start: MonotonicInstant
    /// The multiple of the interval, counted from the start, that comes next.
    private var nextTurn: Int64 = 1
    /// The multiple that the last call stood for.
    private var lastTurn: Int64 = 0
    private var id = TimerWheel<TimerAction>.ID.none
    private var isStopped = false

    init(
        reactor: Reactor,
        interval: Duration,
        waitsForResult: Bool,
        body: @escaping (Int, RepeatingTimer) throws -> Void
    ) {
        precondition(interval > .zero, "callRepeatedly with an interval of \(interval)")
        self.reactor = reactor
        self.waitsForResult = waitsForResult
        self.interval = interval
        start = reactor.driver.now()
        self.body = body
    }

    /// True until `stop`, or until a call threw.
    public var isRunning: Bool { !isStopped }

    /// No more calls, also when called from within one. Repeated calls do nothing.
    public func stop() {
        reactor.preconditionCurrent()
        end(nil)
    }

    private func end(_ error: (any Error)?) {
        isStopped = true
        _ = reactor.wheel.cancel(id)
        guard let onEnd = onEnd.take() else {
            guard let error else { return }
            let message = "a repeating timer threw \(error) and was stopped"
            return reactor.log.write(LogRecord(level: .error, message: message, reactor: reactor.index))
        }
        onEnd(error)
    }

    /// Counts the interval from now again.
    public func reset() {
        reactor.preconditionCurrent()
        guard !isStopped else { return }
        start = reactor.driver.now()
        (nextTurn, lastTurn) = (1, 0)
        _ = reactor.wheel.cancel(id)
        if !isWaiting { schedule() }
    }

    func scheduleFirst(immediately: Bool) {
        if immediately { (nextTurn, lastTurn) = (0, -1) }
        schedule()
    }

    func fire() {
        guard !isStopped else { return }
        // Fired late by more than an interval, this call stands for the latest turn that has passed.
        let turn = max(elapsedTurns, nextTurn)
        let skipped = turn - lastTurn - 1
        lastTurn = turn
        nextTurn = turn + 1
        reactor.counters.add(.skippedRepeats, Int(skipped))
        isWaiting = waitsForResult
        do { try body(Int(skipped), self) } catch { return end(error) }
        if !waitsForResult { scheduleNext() }
    }

    /// What the last call led to is there: the next one may come.
    package func goOn(_ result: Result<Void, any Error>) {
        guard isWaiting else { return }
        isWaiting = false
        guard !isStopped else { return }
        // Its reactor has ended meanwhile: nothing comes any more, and nothing must hold on to it.
        guard Reactor.current === reactor else { return isStopped = true }
        if case .failure(let error) = result { return end(error) }
        scheduleNext()
    }

    private func scheduleNext() {
        guard !isStopped else { return }
        // Turns that passed while the call ran are left out, and counted with the next call.
        nextTurn = max(nextTurn, elapsedTurns + 1)
        // Cancelled first: `reset` within the call has scheduled already.
        _ = reactor.wheel.cancel(id)
        schedule()
    }

    /// Whole intervals since the start.
    private var elapsedTurns: Int64 {
        start.duration(to: reactor.driver.now()).clampedNanoseconds / max(interval.clampedNanoseconds, 1)
    }

    private func schedule() {
        let offset = interval.clampedNanoseconds.multipliedReportingOverflow(by: nextTurn)
        let due =
            nextTurn == 0
            ? 0 : Ticks.ceiling(start.advanced(by: .nanoseconds(offset.overflow ? .max : offset.partialValue)))
        id = reactor.wheel.schedule(at: due, .repeating(self))
    }
}
