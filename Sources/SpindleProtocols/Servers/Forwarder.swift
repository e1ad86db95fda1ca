// SPDX-License-Identifier: Apache-2.0

public import SpindleCore
public import SpindleReactor

/// Passes a connection on to another server: what comes in on one side goes out on the other, both ways.
///
/// Each side is read only as fast as the other takes it: with more unsent than the high watermark on one, reading the
/// other pauses. The end of one side's bytes is passed on, and the other direction goes on; so is a reset.
///
///     engine.listen(on: .any(port: 80)) { Forwarder($0, to: .host("backend", port: 8080)) }
public final class Forwarder: StreamProtocol {
    /// The connection that came in.
    public let transport: any StreamTransport
    private let target: ConnectTarget
    private let options: ConnectOptions
    private var attempt: ConnectAttempt?
    private var far: FarSide?

    /// For a connection that came in; the other one is made when this one stands, on the same reactor.
    public init(_ transport: any StreamTransport, to target: ConnectTarget, options: ConnectOptions = ConnectOptions())
    {
        self.transport = transport
        self.target = target
        self.options = options
    }

    /// Connects; nothing is read before that stands.
    public func connectionMade() {
        guard let reactor = Reactor.current else { return transport.abortConnection() }
        transport.pausesReadingAtHighWatermark = false
        transport.pauseProducing()
        attempt = reactor.connect(to: target, options: options) { [self] transport in
            let far = FarSide(transport, near: self.transport)
            self.far = far
            return far
        } completion: { [self] result in
            attempt = nil
            switch result {
            case .success: transport.resumeProducing()
            case .failure(let error):
                if case .engineStopped = error.reason { return transport.loseConnection() }
                // Ended by the near side itself.
                guard transport.isWritable else { return }
                reactor.warnSeldom(.forwarding, "\(transport.peerAddress) is not passed on: \(error)")
                transport.abortConnection()
            }
        }
    }

    /// Sends the bytes to the other side.
    public func dataReceived(_ bytes: Span<UInt8>) { far?.transport.write(bytes) }
    /// The other side is told that no more comes.
    public func readConnectionLost() { far?.transport.loseWriteConnection() }
    /// The other side is not read until this one has taken more.
    public func highWatermarkReached() { far?.transport.pauseProducing() }
    /// The other side is read again.
    public func lowWatermarkReached() { far?.transport.resumeProducing() }

    /// Ends the other side in the same way.
    public func connectionLost(_ reason: DisconnectReason) {
        attempt?.cancel()
        attempt = nil
        far?.transport.end(as: reason)
        far = nil
    }
}

/// The connection that a forwarder has made.
private final class FarSide: StreamProtocol {
    let transport: any StreamTransport
    private let near: any StreamTransport

    init(_ transport: any StreamTransport, near: any StreamTransport) {
        self.transport = transport
        self.near = near
    }

    func connectionMade() { transport.pausesReadingAtHighWatermark = false }
    func dataReceived(_ bytes: Span<UInt8>) { near.write(bytes) }
    func readConnectionLost() { near.loseWriteConnection() }
    func highWatermarkReached() { near.pauseProducing() }
    func lowWatermarkReached() { near.resumeProducing() }
    func connectionLost(_ reason: DisconnectReason) { near.end(as: reason) }
}

extension StreamTransport {
    /// Ends a connection as the other one, for which it was made, has ended.
    fileprivate func end(as reason: DisconnectReason) {
        if case .done = reason { loseConnection() } else { abortConnection() }
    }
}
