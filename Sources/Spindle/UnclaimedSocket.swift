// SPDX-License-Identifier: Apache-2.0

internal import SpindleReactor
internal import SpindleSystem

/// A listening socket on its way to the reactor that will accept from it: closed if it never gets there.
final class UnclaimedSocket: Sendable {
    private let socket: Guarded<SocketHandle?>
    private let drivers: any DriverProvider

    init(_ socket: SocketHandle, _ drivers: any DriverProvider) {
        self.socket = Guarded(socket)
        self.drivers = drivers
    }

    deinit { close() }

    /// Whoever takes it has to close it; nil when it was taken or closed before.
    func take() -> SocketHandle? { socket.withLock { $0.take() } }

    func close() { if let socket = take() { drivers.close(socket) } }
}
