// SPDX-License-Identifier: Apache-2.0

public import SpindleCore
internal import SpindleReactor

/// Makes the protocol of a connection, on its reactor; nil refuses the connection. What `Engine.listen` takes.
public typealias StreamBuilder = @Sendable (any StreamTransport) throws -> (any StreamProtocol)?

extension StreamTransport {
    /// Says in the log why a connection is not served.
    func refuse(_ reason: String) {
        Reactor.current?.warnSeldom(.refusing, "\(peerAddress) is refused: \(reason)")
    }
}

/// Says something and closes: what a server that is full tells whom it can't serve.
public final class Farewell: StreamProtocol {
    /// The connection.
    public let transport: any StreamTransport
    private let text: String

    /// - Parameters:
    ///   - transport: The connection.
    ///   - text: Sent as UTF-8.
    public init(_ transport: any StreamTransport, _ text: String) {
        self.transport = transport
        self.text = text
    }

    /// Says it.
    public func connectionMade() {
        transport.write(text)
        transport.loseConnection()
    }

    /// What the peer sends is dropped.
    public func dataReceived(_ bytes: Span<UInt8>) {}
}
