// SPDX-License-Identifier: Apache-2.0

public import SpindleCore

/// A connection that comes by way of a proxy which says whose it is (the PROXY protocol, versions 1 and 2): the
/// protocol behind it sees the client's address and not the proxy's.
///
/// The protocol is built when the header was read; what follows it is the protocol's. What is no header, and a header
/// that does not come in time, ends the connection: otherwise anybody could say who he is. Listen only where none but
/// proxies can connect, or let none but them in: an `AccessList` around this sees the proxy, one within it the client.
///
///     engine.listen(on: address, proxies.guarding(ProxiedConnection.guarding(clients.guarding { Session($0) })))
public final class ProxiedConnection: StreamWrapper {
    /// The connection to the proxy.
    public let transport: any StreamTransport
    /// The protocol behind the header; nil before it was read.
    public var inner: (any StreamProtocol)?
    private let build: (any StreamTransport) throws -> (any StreamProtocol)?
    private let timeout: Duration
    private var ends: ProxyHeader.Ends?
    /// The beginning of the header; nil when it was read.
    private var pending: [UInt8]? = []

    /// - Parameters:
    ///   - transport: The connection to the proxy.
    ///   - timeout: How long the header may take.
    ///   - build: Makes the protocol when it has come; nil refuses the connection.
    public init(
        _ transport: any StreamTransport,
        timeout: Duration = .seconds(5),
        _ build: @escaping (any StreamTransport) throws -> (any StreamProtocol)?
    ) {
        self.transport = transport
        self.timeout = timeout
        self.build = build
    }

    /// A builder for connections that come by way of proxies.
    public static func guarding(timeout: Duration = .seconds(5), _ build: @escaping StreamBuilder) -> StreamBuilder {
        { transport in ProxiedConnection(transport, timeout: timeout, build) }
    }

    /// As the header has it.
    public var peerAddress: SocketAddress { ends?.source ?? transport.peerAddress }
    /// As the header has it.
    public var localAddress: SocketAddress { ends?.destination ?? transport.localAddress }

    /// The header has to come now.
    public func connectionMade() { transport.setHandshakeTimeout(timeout) }

    /// Handed on as it is.
    public func write(_ file: FileRegion) { transport.write(file) }

    /// Reads the header; hands everything behind it on.
    public func dataReceived(_ bytes: Span<UInt8>) throws {
        guard let before = pending else {
            if let error = inner?._deliver(bytes) { throw error }
            return
        }
        // A header is small and mostly comes whole: what there was of it is read once more.
        var all = before
        for index in 0..<min(bytes.count, ProxyHeader.longest + 1) { all.append(bytes[index]) }
        switch ProxyHeader.parse(all.span) {
        case .incomplete: pending = all
        case .malformed(let reason):
            transport.refuse(reason)
            transport.abortConnection()
        case .header(let header, let byteCount):
            pending = nil
            ends = header.ends
            transport.setHandshakeTimeout(nil)
            inner = try build(self)
            guard let inner else { return transport.abortConnection() }
            try inner.connectionMade()
            let rest = bytes.extracting(droppingFirst: byteCount - before.count)
            guard !rest.isEmpty else { return }
            guard transport.isReading else { return transport.unread(rest) }
            if let error = inner._deliver(rest) { throw error }
        }
    }

    /// A proxy that ends before its header was there has nothing to say.
    public func readConnectionLost() throws {
        guard pending == nil else { return transport.abortConnection() }
        try inner?.readConnectionLost()
    }

    /// Not before the protocol knows of its connection.
    public func idleTimeoutExpired() throws {
        guard pending == nil else { return transport.abortConnection() }
        try inner?.idleTimeoutExpired()
    }
}
