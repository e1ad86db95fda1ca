// SPDX-License-Identifier: Apache-2.0

public import SpindleCore
internal import SpindleSystem

/// Says what time it is and closes: RFC 867. `2026-11-27T05:30:00.123456Z`, in UTC, as RFC 3339 writes it.
public final class Daytime: StreamProtocol {
    /// The connection.
    public let transport: any StreamTransport

    /// For one connection.
    public init(_ transport: any StreamTransport) { self.transport = transport }

    /// Says it.
    public func connectionMade() {
        transport.write(WallClock.text(WallClock.now()) + "\r\n")
        transport.loseConnection()
    }

    /// What the client sends is dropped.
    public func dataReceived(_ bytes: Span<UInt8>) {}
}
