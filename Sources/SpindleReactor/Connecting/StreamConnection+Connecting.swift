// SPDX-License-Identifier: Apache-2.0

internal import SpindleCore

extension StreamConnection {
    /// Opens a connection on the reactor where the calling task runs, which owns it: it has to `close` or `abort` it.
    ///
    /// For code that is isolated to a reactor, as handlers are; `Engine.withConnection` is for all other. While the
    /// engine drains, `read` returns nil.
    ///
    /// - Parameters:
    ///   - target: An address, or a name, whose addresses are tried as RFC 8305 has it.
    ///   - options: How long it may take, and from where.
    /// - Throws: `ConnectError`; `CancellationError` in a cancelled task. Elsewhere than on a reactor, and when that
    ///   stops, a `ConnectError` with the reason `.engineStopped`.
    public static nonisolated(nonsending) func connect(
        to target: ConnectTarget,
        options: ConnectOptions = ConnectOptions()
    ) async throws -> StreamConnection {
        try await Opening.run(target, options)
    }

    /// Opens a connection for `body`, and closes it behind it; resets it when `body` throws. As `connect` otherwise.
    public static nonisolated(nonsending) func withConnection<Result>(
        to target: ConnectTarget,
        options: ConnectOptions = ConnectOptions(),
        _ body: nonisolated(nonsending) (StreamConnection) async throws -> Result
    ) async throws -> Result {
        let connection = try await connect(to: target, options: options)
        do {
            let result = try await body(connection)
            connection.close()
            return result
        } catch {
            connection.abort()
            throw error
        }
    }
}

/// A task that waits for its connection.
private final class Opening {
    private var stream: StreamConnection?
    private var outcome: Result<Void, ConnectError>?
    private var parking: Parking?

    static func run(
        _ target: ConnectTarget,
        _ options: ConnectOptions,
        isolation: isolated (any Actor)? = #isolation
    ) async throws -> StreamConnection {
        try Task.checkCancellation()
        guard let reactor = Reactor.current else { throw ConnectError(target, .engineStopped) }
        let opening = Opening()
        let attempt = reactor.connect(to: target, options: options) { transport in
            let proto = HandlerProtocol(transport, nil)
            opening.stream = proto.stream
            return proto
        } completion: { result in
            opening.outcome = result.map { _ in }
            opening.parking?.leave()
        }
        // Failed already while the engine stops.
        if opening.outcome == nil {
            await Parking.wait(cancelled: attempt.cancel, isolation: isolation) { opening.parking = $0 }
        }
        return try opening.take(target)
    }

    private func take(_ target: ConnectTarget) throws -> StreamConnection {
        switch outcome {
        case .success:
            guard let stream, !Task.isCancelled else {
                stream?.abort()
                throw CancellationError()
            }
            return stream
        case .failure(let error):
            // What `cancel` led to.
            try Task.checkCancellation()
            throw error
        case nil: throw ConnectError(target, .engineStopped)
        }
    }
}
