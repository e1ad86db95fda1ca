// SPDX-License-Identifier: Apache-2.0

/// Stands between a connection and its protocol: a protocol for the one, the transport of the other.
///
/// Everything is handed on unless a wrapper does it itself: `dataReceived` to change or look at what comes in, `write`
/// to change or look at what goes out. One object per connection, on its reactor's thread.
///
///     final class Shouting: StreamWrapper {
///         let transport: any StreamTransport
///         var inner: (any StreamProtocol)?
///         init(_ transport: any StreamTransport) { self.transport = transport }
///         func write(_ bytes: Span<UInt8>) { transport.write(uppercased(bytes)) }
///     }
public protocol StreamWrapper: StreamProtocol, StreamTransport where Failure == any Error {
    /// The protocol above; set by whoever puts the two together, before `connectionMade`.
    ///
    /// A wrapper with a `connectionLost` of its own sets it to nil there: the two hold each other.
    var inner: (any StreamProtocol)? { get set }
}

extension StreamWrapper {
    /// Handed on.
    public func connectionMade() throws { try inner?.connectionMade() }
    /// Handed on.
    public func dataReceived(_ bytes: Span<UInt8>) throws {
        if let error = inner?._deliver(bytes) { throw error }
    }
    /// Handed on.
    public func readConnectionLost() throws { try inner?.readConnectionLost() }
    /// Handed on.
    public func writeConnectionLost() throws { try inner?.writeConnectionLost() }
    /// Handed on.
    public func highWatermarkReached() throws { try inner?.highWatermarkReached() }
    /// Handed on.
    public func lowWatermarkReached() throws { try inner?.lowWatermarkReached() }
    /// Handed on.
    public func writeDrained() throws { try inner?.writeDrained() }
    /// Handed on.
    public func idleTimeoutExpired() throws { try inner?.idleTimeoutExpired() }
    /// Handed on; the protocol is let go of.
    public func connectionLost(_ reason: DisconnectReason) throws {
        defer { inner = nil }
        try inner?.connectionLost(reason)
    }
}

extension StreamWrapper {
    /// Of the connection.
    public var peerAddress: SocketAddress { transport.peerAddress }
    /// Of the connection.
    public var localAddress: SocketAddress { transport.localAddress }
    /// Of the connection.
    public var peerCredentials: PeerCredentials? { transport.peerCredentials }
    /// Of the connection.
    public var connectionNumber: UInt64 { transport.connectionNumber }
    /// Of the connection.
    public var bufferedByteCount: Int { transport.bufferedByteCount }
    /// Of the connection.
    public var isWritable: Bool { transport.isWritable }
    /// Handed on.
    public func write(_ bytes: Span<UInt8>) { transport.write(bytes) }
    /// As `write` of a span: a wrapper that changes what goes out has to change one of them only.
    public func write(_ chunk: ByteChunk) { write(chunk.bytes) }
    /// As `write` of a span, 64 KiB at a time, which waits for the file's disk and keeps what can't be sent in memory:
    /// a wrapper that changes what goes out is right with it, if its files are small. One that does not hands the file
    /// on to `transport`.
    public func write(_ file: FileRegion) {
        var rest = file
        while !rest.isEmpty, isWritable {
            do throws(FileError) {
                let bytes = try rest.read(atMost: 64 << 10)
                write(bytes.span)
                rest.removeFirst(bytes.count)
            } catch { return abortConnection() }
        }
    }
    /// Handed on: they go with whatever this wrapper makes of what is written next.
    public func pass(_ descriptors: [Int32]) throws(PassingError) { try transport.pass(descriptors) }
    /// Of the connection.
    public var passedDescriptorLimit: Int {
        get { transport.passedDescriptorLimit }
        set { transport.passedDescriptorLimit = newValue }
    }
    /// Of the connection.
    public func takePassedDescriptors() -> [PassedDescriptor] { transport.takePassedDescriptors() }
    /// Of the connection.
    public var readLimits: [RateLimit] {
        get { transport.readLimits }
        set { transport.readLimits = newValue }
    }
    /// Of the connection.
    public var writeLimits: [RateLimit] {
        get { transport.writeLimits }
        set { transport.writeLimits = newValue }
    }
    /// Handed on.
    public func loseConnection() { transport.loseConnection() }
    /// Handed on.
    public func abortConnection() { transport.abortConnection() }
    /// Handed on.
    public func loseWriteConnection() { transport.loseWriteConnection() }
    /// Handed on.
    public func pauseProducing() { transport.pauseProducing() }
    /// Handed on.
    public func resumeProducing() { transport.resumeProducing() }
    /// Of the connection.
    public var pausesReadingAtHighWatermark: Bool {
        get { transport.pausesReadingAtHighWatermark }
        set { transport.pausesReadingAtHighWatermark = newValue }
    }
    /// Handed on.
    public func register(_ producer: any PushProducer) throws(ProducerError) { try transport.register(producer) }
    /// Handed on.
    public func register(_ producer: any PullProducer) throws(ProducerError) { try transport.register(producer) }
    /// Handed on.
    public func unregisterProducer() { transport.unregisterProducer() }
    /// Of the connection.
    public var isReading: Bool { transport.isReading }
    /// Handed on: the bytes come by way of this wrapper's `dataReceived` again. One that changes bytes keeps them.
    public func unread(_ bytes: Span<UInt8>) { transport.unread(bytes) }
    /// Handed on.
    @discardableResult
    public func setIdleTimeout(_ timeout: Duration?) -> Duration? { transport.setIdleTimeout(timeout) }
    /// Handed on.
    public func setHandshakeTimeout(_ timeout: Duration?) { transport.setHandshakeTimeout(timeout) }
    /// Handed on.
    public func hold(_ object: any AnyObject & Sendable) { transport.hold(object) }
    /// Of the connection.
    public func apply(_ setting: SocketSetting) throws(SocketOptionError) { try transport.apply(setting) }
    /// Of the connection.
    public func rawValue(of option: SocketOptionName) throws(SocketOptionError) -> Int32 {
        try transport.rawValue(of: option)
    }
}
