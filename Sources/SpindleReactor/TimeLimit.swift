// SPDX-License-Identifier: Apache-2.0

/// What `withTimeout` throws when its time has passed.
public struct TimedOut: Error, Equatable, CustomStringConvertible {
    /// How long was given.
    public let limit: Duration

    /// So long was waited, in vain.
    public init(limit: Duration) { self.limit = limit }

    /// One line for a log.
    public var description: String { "timed out after \(limit)" }
}

extension StreamConnection {
    /// Runs `body` and cancels it when `limit` has passed: a `read` or `write` that waits then throws, and the
    /// connection lives on.
    ///
    /// `body` runs isolated to the connection's reactor, as a child task; its time is that of the reactor's timers.
    ///
    /// - Returns: What `body` returned, if it did so in time or without looking at its cancellation.
    /// - Throws: `TimedOut` when `body` threw a `CancellationError` because its time had passed; else what it threw.
    public nonisolated(nonsending) func withTimeout<Result: Sendable>(
        _ limit: Duration,
        _ body: nonisolated(nonsending) (StreamConnection) async throws -> Result
    ) async throws -> Result {
        try await TimeLimit.run(limit, body, on: self)
    }
}

/// A body with a limit: runs in a task of its own on the reactor, which a timer cancels, while the caller waits.
///
/// No task group: its children, and who waits for them, would go by way of Swift's pool and back.
private final class TimeLimit<Result: Sendable> {
    private var outcome: Swift.Result<Result, any Error>?
    private var parking: Parking?

    static func run(
        _ limit: Duration,
        _ body: nonisolated(nonsending) (StreamConnection) async throws -> Result,
        on connection: StreamConnection,
        _ isolation: isolated (any Actor)? = #isolation
    ) async throws -> Result {
        guard let reactor = Reactor.current, reactor.handle === connection.reactor else { throw CancellationError() }
        try Task.checkCancellation()
        return try await withoutActuallyEscaping(body) { body in
            let limited = TimeLimit()
            // The child is isolated to the same reactor as this task, which does nothing but wait for it.
            nonisolated(unsafe) let (unsafeBody, unsafeConnection, unsafeLimited) = (body, connection, limited)
            let child = reactor.startTask { isolation in
                await unsafe unsafeLimited.perform(unsafeBody, unsafeConnection, isolation)
            }
            var hasTimedOut = false
            let timer = reactor.callLater(limit) {
                hasTimedOut = true
                child.cancel()
            }
            await limited.wait(for: child, isolation)
            if Reactor.current === reactor { timer.cancel() }
            do { return try limited.take() } catch is CancellationError where hasTimedOut {
                throw TimedOut(limit: limit)
            }
        }
    }

    private func perform(
        _ body: nonisolated(nonsending) (StreamConnection) async throws -> Result,
        _ connection: StreamConnection,
        _ isolation: isolated ReactorHandle
    ) async {
        do { outcome = .success(try await body(connection)) } catch { outcome = .failure(error) }
        parking?.leave()
    }

    private func wait(for child: Task<Void, Never>, _ isolation: isolated (any Actor)?) async {
        await withTaskCancellationHandler {
            _ = isolation
            // Done already, when whoever called is isolated to nothing.
            await Parking.wait { if outcome == nil { parking = $0 } else { $0.leave() } }
        } onCancel: {
            child.cancel()
        }
        // The reactor has ended, and the body has not: it must not outlive this call.
        if outcome == nil { await child.value }
    }

    private func take() throws -> Result {
        guard let outcome else { throw CancellationError() }
        return try outcome.get()
    }
}
