// SPDX-License-Identifier: Apache-2.0

public import SpindleReactor

/// Time, tasks and repetition: what a `Deferred` needs its reactor for.
extension Deferred {
    /// The same result, but `TimedOut` when it has not come after `limit`: what the chain waits for is cancelled then.
    ///
    /// - Parameters:
    ///   - limit: Not negative; on the reactor's timers.
    ///   - reactor: The one that the chain belongs to.
    public func addTimeout(_ limit: Duration, on reactor: Reactor) -> Deferred<Value> {
        var timer: ReactorTimer?
        var hasTimedOut = false
        let next = addBoth { (result) throws -> Value in
            // After its reactor has ended there is no timer any more.
            if Reactor.current === reactor { timer?.cancel() }
            do { return try result.get() } catch is CancellationError where hasTimedOut { throw TimedOut(limit: limit) }
        }
        timer = reactor.callLater(limit) { [weak self] in
            hasTimedOut = true
            // Nobody has it any more: it will never come.
            guard let self else { return next.settle(.failure(TimedOut(limit: limit))) }
            cancel()
        }
        return next
    }

    /// Waits for the result in `async` code of the chain's reactor: the end of the chain.
    ///
    /// Cancelling the task cancels the chain.
    ///
    /// - Throws: The failure; `CancellationError` also when the reactor stops first.
    public nonisolated(nonsending) func value() async throws -> Value {
        let box = ResultBox<Value>()
        // Goes home to be cancelled: a task may be cancelled by any thread.
        let cancellation = Reactor.current.map { _ in Foreign(self) }
        await box.wait(for: self, cancellation, isolation: #isolation)
        return try box.take()
    }

    /// The result of `async` code that runs on `reactor`: its first step comes after what runs now.
    ///
    /// Cancelling it cancels the task.
    public static func run(
        on reactor: Reactor,
        file: StaticString = #fileID,
        line: UInt = #line,
        _ body: @escaping () async throws -> Value
    ) -> Deferred<Value> {
        var task: Task<Void, Never>?
        let deferred = Deferred<Value>(file: file, line: line) { _ in task?.cancel() }
        // Used by the reactor's thread alone: the task is isolated to it.
        nonisolated(unsafe) let (unsafeBody, unsafeDeferred) = (body, deferred)
        task = reactor.startTask { isolation in
            let result = await perform(unsafe unsafeBody, isolation)
            try? unsafe unsafeDeferred.call(result)
        }
        return deferred
    }

    private static func perform(
        _ body: () async throws -> Value,
        _ isolation: isolated ReactorHandle
    ) async -> Result<Value, any Error> {
        do { return .success(try await body()) } catch { return .failure(error) }
    }
}

extension Reactor {
    /// Calls `body` every `interval`, without drift, and not again before its result is there: calls whose time passed
    /// meanwhile are skipped and counted.
    ///
    /// - Parameters:
    ///   - interval: More than zero.
    ///   - immediately: The first call comes in the next turn rather than after one interval.
    ///   - body: Gets the number of turns that were skipped since its last call. A failure ends the timer.
    /// - Returns: The timer, and a result that comes when it has ended: of `stop`, or with the failure.
    public func callRepeatedly(
        every interval: Duration,
        immediately: Bool = false,
        waitingFor body: @escaping (_ skipped: Int) throws -> Deferred<Void>
    ) -> (timer: RepeatingTimer, ended: Deferred<Void>) {
        let ended = Deferred<Void>()
        let timer = callRepeatedly(every: interval, immediately: immediately) { skipped, timer in
            try body(skipped).whenCalled { timer.goOn($0) }
        }
        timer.onEnd = { error in
            if let error { try? ended.fail(error) } else { try? ended.succeed(()) }
        }
        return (timer, ended)
    }
}

/// Where a task that waits finds its result.
private final class ResultBox<Value> {
    private var result: Result<Value, any Error>?

    func wait(
        for deferred: Deferred<Value>,
        _ cancellation: Foreign<Deferred<Value>>?,
        isolation: isolated (any Actor)?
    ) async {
        await withTaskCancellationHandler {
            _ = isolation
            await Parking.wait { parking in
                deferred.whenCalled {
                    self.result = $0
                    parking.leave()
                }
            }
        } onCancel: {
            guard let cancellation else { return }
            cancellation.home.submitAlways { cancellation.withValue { $0.cancel() } }
        }
    }

    /// Without a result, the reactor has ended.
    func take() throws -> Value {
        guard let result else { throw CancellationError() }
        return try result.get()
    }
}
