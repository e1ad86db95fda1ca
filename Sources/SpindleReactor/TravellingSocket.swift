// SPDX-License-Identifier: Apache-2.0

internal import SpindleSystem

/// A socket on its way to the reactor that will have it: closed if it never gets there.
public final class TravellingSocket: Sendable {
    private let socket: Guarded<SocketHandle?>
    private let closeSocket: @Sendable (SocketHandle) -> Void

    /// - Parameters:
    ///   - socket: Owned by the traveller until it is taken.
    ///   - close: Closes it, on whatever thread that is.
    public init(_ socket: SocketHandle, close: @escaping @Sendable (SocketHandle) -> Void) {
        self.socket = Guarded(socket)
        closeSocket = close
    }

    deinit { close() }

    /// Whoever takes it has to close it; nil when it was taken or closed before.
    package func take() -> SocketHandle? { socket.withLock { $0.take() } }

    /// Nobody will take it.
    package func close() { if let socket = take() { closeSocket(socket) } }
}
