// SPDX-License-Identifier: Apache-2.0

/// A UDP socket, as its protocol sees it: datagrams out, and control. udp(7).
///
/// Owned by one reactor and not Sendable; every call belongs on that reactor's thread, and may be made from every
/// callback. Nothing waits: what is sent leaves at the end of the batch that came in, or of the turn, in one system
/// call with others; what the kernel does not take then is dropped and counted (`Counter.datagramsUnsent`).
public protocol DatagramTransport: SocketTransport {
    /// This end; readable for ever.
    var localAddress: SocketAddress { get }
    /// The peer that the socket is connected to; nil of one that serves all.
    var peerAddress: SocketAddress? { get }
    /// The reactor that it belongs to, counted from 0.
    var reactorIndex: Int { get }
    /// False once it was closed.
    var isOpen: Bool { get }

    /// Answers the datagram, or the run, that the running `datagramReceived` is about, from the address that was asked.
    ///
    /// The answers to a datagram have together at most so many times its bytes as the socket's reply limit says: who
    /// asks has not shown that the address is his, and may want others flooded. Use `send` for peers that have.
    ///
    /// - Returns: `.dropped` with the reason when it will not leave; it is counted.
    @discardableResult
    func reply(_ bytes: Span<UInt8>) -> DatagramOutcome

    /// Answers with several datagrams that leave as one (UDP_SEGMENT); as `reply` otherwise.
    ///
    /// - Parameters:
    ///   - run: Their bytes, one behind the other, at most 65,507.
    ///   - segmentBytes: The bytes of each, at least 1; the last may have fewer.
    @discardableResult
    func reply(_ run: Span<UInt8>, each segmentBytes: Int) -> DatagramOutcome

    /// Sends a datagram.
    ///
    /// - Parameters:
    ///   - bytes: At most 65,507, over IPv6, too.
    ///   - peer: Whom to; nil for the peer that the socket is connected to.
    ///   - options: Which way it leaves.
    /// - Returns: `.dropped` with the reason when it will not leave; it is counted.
    @discardableResult
    func send(_ bytes: Span<UInt8>, to peer: SocketAddress?, options: DatagramSendOptions) -> DatagramOutcome

    /// Sends several datagrams that leave as one (UDP_SEGMENT), or one by one where they can't; as `send` otherwise.
    ///
    /// - Parameters:
    ///   - run: Their bytes, one behind the other, at most 65,507.
    ///   - segmentBytes: The bytes of each, at least 1; the last may have fewer.
    ///   - peer: Whom to; nil for the peer that the socket is connected to.
    ///   - options: Which way they leave.
    @discardableResult
    func send(
        _ run: Span<UInt8>,
        each segmentBytes: Int,
        to peer: SocketAddress?,
        options: DatagramSendOptions
    ) -> DatagramOutcome

    /// Stops `datagramReceived` until `resumeReading`, but for the batch that is at hand: the kernel keeps what comes,
    /// and drops what it has no room for.
    func pauseReading()
    /// Lets `datagramReceived` happen again, in a later turn.
    func resumeReading()

    /// Sends what waits, and closes: `stopProtocol` follows in a later turn, no datagram before it.
    func close()

    /// Joins a group: what is sent to it comes here, too. ip(7), ipv6(7).
    ///
    /// Every socket that has joined gets a datagram of its own: of a listener with several reactors, one joins.
    ///
    /// - Parameters:
    ///   - group: A multicast address of the socket's family; the port is ignored.
    ///   - interface: By number; 0 for the kernel's choice.
    /// - Throws: What the kernel says: EINVAL for no multicast address, EADDRINUSE when it was joined already, ENODEV.
    func join(_ group: SocketAddress, interface: UInt32) throws(Errno)
    /// Leaves a group.
    ///
    /// - Throws: What the kernel says: EADDRNOTAVAIL when it was not joined.
    func leave(_ group: SocketAddress, interface: UInt32) throws(Errno)
    /// How datagrams to groups leave.
    ///
    /// - Throws: What the kernel says.
    func setMulticast(_ option: MulticastOption) throws(Errno)
}

extension DatagramTransport {
    /// Sends a datagram to the peer that the socket is connected to.
    @discardableResult
    public func send(_ bytes: Span<UInt8>) -> DatagramOutcome { send(bytes, to: nil, options: DatagramSendOptions()) }

    /// Sends a datagram.
    @discardableResult
    public func send(_ bytes: Span<UInt8>, to peer: SocketAddress) -> DatagramOutcome {
        send(bytes, to: peer, options: DatagramSendOptions())
    }

    /// Sends the bytes of an array as a datagram.
    @discardableResult
    public func send(_ bytes: [UInt8], to peer: SocketAddress? = nil) -> DatagramOutcome {
        send(bytes.span, to: peer, options: DatagramSendOptions())
    }

    /// Sends the text as UTF-8 as a datagram.
    @discardableResult
    public func send(_ text: String, to peer: SocketAddress? = nil) -> DatagramOutcome {
        send(Array(text.utf8), to: peer)
    }

    /// Answers with the bytes of an array.
    @discardableResult
    public func reply(_ bytes: [UInt8]) -> DatagramOutcome { reply(bytes.span) }

    /// Answers with the text as UTF-8.
    @discardableResult
    public func reply(_ text: String) -> DatagramOutcome { reply(Array(text.utf8)) }

    /// Joins a group by an interface of the kernel's choice.
    public func join(_ group: SocketAddress) throws(Errno) { try join(group, interface: 0) }
    /// Leaves a group that was joined by an interface of the kernel's choice.
    public func leave(_ group: SocketAddress) throws(Errno) { try leave(group, interface: 0) }
}

/// Which way a datagram leaves.
public struct DatagramSendOptions: Sendable, Equatable {
    /// An address of this machine that it comes from, as `DatagramOrigin.destination`; nil for the kernel's choice. The
    /// port is ignored.
    public var source: SocketAddress?
    /// What it says of congestion.
    public var ecn = CongestionMark.notCapable

    /// The kernel's choice.
    public init(source: SocketAddress? = nil, ecn: CongestionMark = .notCapable) {
        self.source = source
        self.ecn = ecn
    }
}

/// What became of a datagram that was to be sent.
public enum DatagramOutcome: Sendable, Equatable {
    /// It leaves with the batch.
    case queued
    /// It goes nowhere; counted as `Counter.datagramsRefused`.
    case dropped(DatagramDrop)
}

/// Why a datagram is not sent.
public enum DatagramDrop: Sendable, Equatable {
    /// More than 65,507 bytes.
    case tooLong
    /// More than the socket's reply limit allows to an unverified peer.
    case overReplyLimit
    /// No `datagramReceived` runs that could be answered, the socket is connected to nobody, or the port is 0.
    case noPeer
    /// The peer's address is none that this socket can reach: IPv6 from an IPv4 socket.
    case wrongFamily
    /// The socket is closed.
    case closed
}

/// How datagrams to groups leave. ip(7), ipv6(7).
public enum MulticastOption: Sendable, Equatable {
    /// How many routers they may pass, 0 to 255; 1 by default. IP_MULTICAST_TTL.
    case hops(Int)
    /// This machine's members get them, too; true by default. IP_MULTICAST_LOOP.
    case loop(Bool)
    /// The interface by which they leave, by number. IP_MULTICAST_IF.
    case interface(UInt32)
}
