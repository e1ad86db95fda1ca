// SPDX-License-Identifier: Apache-2.0

public import SpindleReactor

extension Engine {
    /// Opens a connection on one of the reactors for `body`, which runs isolated to it, and closes it behind it; resets
    /// it when `body` throws. From anywhere.
    ///
    /// - Parameters:
    ///   - target: An address, or a name, whose addresses are tried as RFC 8305 has it.
    ///   - options: How long it may take, and from where.
    ///   - reactor: Which one; nil for the one with the fewest connections.
    ///   - body: Talks to the peer.
    /// - Throws: `ConnectError`, with the reason `.engineStopped` when the engine does not run; `CancellationError`;
    ///   what `body` throws.
    public func withConnection<Result: Sendable>(
        to target: ConnectTarget,
        options: ConnectOptions = ConnectOptions(),
        on reactor: ReactorHandle? = nil,
        _ body: nonisolated(nonsending) @Sendable (StreamConnection) async throws -> Result
    ) async throws -> Result {
        // Reactors that have not been started would begin when they are, perhaps never.
        guard phase != .idle else { throw ConnectError(target, .engineStopped) }
        let handles = reactors
        let reactor = reactor ?? handles.min { $0.connectionLoad < $1.connectionLoad } ?? handles[0]
        return try await reactor.execute { _ in
            try await StreamConnection.withConnection(to: target, options: options, body)
        }
    }
}
