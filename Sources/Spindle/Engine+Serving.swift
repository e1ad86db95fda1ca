// SPDX-License-Identifier: Apache-2.0

public import SpindleCore
public import SpindleReactor

extension Engine {
    /// Listens on `address` with every reactor and serves each connection by a task of its own on its reactor.
    ///
    /// The sockets are bound before this returns; accepting begins when the engine runs. When the engine drains,
    /// `read` returns nil, so that handlers come to their end; at the deadline connections are reset and the tasks
    /// cancelled.
    ///
    /// - Parameters:
    ///   - address: Where; port 0 lets the kernel choose one port for all reactors.
    ///   - options: Interface, dual stack; the engine adds what its accept mode needs.
    ///   - handler: Serves one connection, isolated to its reactor. When it returns, what it wrote is sent and the
    ///     connection closed. When it throws, the connection is reset and the error logged; errors that come of the
    ///     connection's own end are not.
    /// - Throws: `ListenError` when the address can't be had.
    @discardableResult
    public func serve(
        on address: SocketAddress,
        options: ListenOptions = ListenOptions(),
        _ handler: nonisolated(nonsending) @escaping @Sendable (StreamConnection) async throws -> Void
    ) throws(ListenError) -> Listener {
        try listen(on: address, options: options) { HandlerProtocol($0, handler) }
    }
}
