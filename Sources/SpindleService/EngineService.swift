// SPDX-License-Identifier: Apache-2.0

public import ServiceLifecycle
public import Spindle

/// An engine as a service of a `ServiceGroup`: started with it, drained when it shuts down gracefully.
///
/// The group has the signals; `Engine.run` would take them, so this calls `start` and `stop`. A group shuts its
/// services down in the reverse order of their list, one after the other: put an engine behind what its handlers need.
///
///     let group = ServiceGroup(
///         services: [database, EngineService(engine)],
///         gracefulShutdownSignals: [.sigterm],
///         logger: logger
///     )
///     try await group.run()
public struct EngineService: Service {
    /// The engine. Listeners may be added before and while it runs.
    public let engine: Engine
    private let drainTimeout: Duration?

    /// - Parameters:
    ///   - engine: Not started yet.
    ///   - drainTimeout: How long connections may take at the shutdown; nil is the engine's own.
    public init(_ engine: Engine, drainTimeout: Duration? = nil) {
        self.engine = engine
        self.drainTimeout = drainTimeout
    }

    /// Starts the engine and returns when it has stopped: after a graceful shutdown, or because somebody else stopped
    /// it. A cancelled task stops it at once.
    ///
    /// - Throws: What `Engine.start` throws; `CancellationError` when the task was cancelled.
    public func run() async throws {
        try await engine.start()
        let (engine, drainTimeout) = (engine, drainTimeout)
        await withTaskCancellationHandler {
            await withGracefulShutdownHandler {
                await engine.waitUntilStopped()
            } onGracefulShutdown: {
                Task { await engine.stop(deadline: drainTimeout) }
            }
        } onCancel: {
            Task { await engine.stopNow() }
        }
        try Task.checkCancellation()
    }
}
