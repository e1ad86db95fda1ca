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
        try await TimeLimit.run(limit, body, on: self, reactor)
    }
}

private enum TimeLimit {
    static func run<Result: Sendable>(
        _ limit: Duration,
        _ body: nonisolated(nonsending) (StreamConnection) async throws -> Result,
        on connection: StreamConnection,
        _ handle: ReactorHandle,
        _ isolation: isolated (any Actor)? = #isolation
    ) async throws -> Result {
        try await withoutActuallyEscaping(body) { body in
            // The child is isolated to the same reactor as this task, which does nothing but wait for it.
            nonisolated(unsafe) let (body, connection) = (body, connection)
            return try await withThrowingTaskGroup(of: Result?.self) { group in
                group.addTask(executorPreference: handle) {
                    try unsafe await perform(body, connection, isolation)
                }
                group.addTask(executorPreference: handle) {
                    try await ReactorClock(handle).sleep(for: limit)
                    return nil
                }
                return try await first(of: &group, limit, isolation)
            }
        }
    }

    /// The result of the work, or what becomes of it when the clock was faster and it is cancelled.
    private static func first<Result: Sendable>(
        of group: inout ThrowingTaskGroup<Result?, any Error>,
        _ limit: Duration,
        _ isolation: isolated (any Actor)?
    ) async throws -> Result {
        defer { group.cancelAll() }
        if let result = try await group.next(), let result { return result }
        group.cancelAll()
        do { if let result = try await group.next(), let result { return result } } catch is CancellationError {}
        throw TimedOut(limit: limit)
    }

    private static func perform<Result>(
        _ body: nonisolated(nonsending) (StreamConnection) async throws -> Result,
        _ connection: StreamConnection,
        _ isolation: isolated (any Actor)?
    ) async throws -> Result { try await body(connection) }
}
