// SPDX-License-Identifier: Apache-2.0

/// What a program does with one connection: the callbacks of a byte stream.
///
/// One object per connection, made by a `StreamProtocolFactory` and used on one reactor's thread for its whole
/// life, so it needs no locks. The order is: `connectionMade` once, `dataReceived` any number of times,
/// `connectionLost` once, nothing after; none of them when the connection was aborted while the object was made. No
/// callback is entered while another of the same reactor runs.
///
/// A callback that throws ends its connection with `.failed(error)`, unsent bytes are dropped, the error is
/// logged once with the connection's identity, and every other connection goes on.
public protocol StreamProtocol: AnyObject {
    /// What the callbacks may throw; `Never` when nothing is declared.
    associatedtype Failure: Error = Never

    /// The connection this object serves: the one that the factory was given.
    var transport: any StreamTransport { get }

    /// The connection stands; both addresses are known and bytes may be written.
    func connectionMade() throws(Failure)

    /// Bytes came in.
    ///
    /// - Parameter bytes: 1 byte up to the engine's receive buffer, cut wherever the network cut them. Valid
    ///   during the call only (the compiler sees to it); keep a copy with `ByteChunk(copying:)`.
    func dataReceived(_ bytes: Span<UInt8>) throws(Failure)

    /// The peer sends no more (it closed or half-closed); what is written still reaches it.
    ///
    /// By default calls `transport.loseConnection()`, which sends what was written and closes. Override it to
    /// go on writing.
    func readConnectionLost() throws(Failure)

    /// `loseWriteConnection` has sent everything and told the peer; reading goes on.
    func writeConnectionLost() throws(Failure)

    /// More unsent bytes wait than the high watermark; reading this connection pauses by itself.
    func highWatermarkReached() throws(Failure)

    /// The unsent bytes fell to the low watermark after they had been above the high one.
    func lowWatermarkReached() throws(Failure)

    /// The last unsent byte was taken by the kernel, after some had to wait.
    func writeDrained() throws(Failure)

    /// The idle timeout passed: nothing was read and nothing could be sent.
    ///
    /// By default calls `transport.loseConnection()`; a peer that does not read is then cut off at the close timeout.
    func idleTimeoutExpired() throws(Failure)

    /// The connection is over; `transport`'s addresses can still be read, writing does nothing.
    func connectionLost(_ reason: DisconnectReason) throws(Failure)

    /// Calls `dataReceived` and returns what it threw. Not to be implemented: the default is compiled into the
    /// protocol's own module, where `Failure` is known and mostly `Never`, and saves each event that question.
    func _deliver(_ bytes: Span<UInt8>) -> (any Error)?
}

extension StreamProtocol {
    /// Does nothing.
    public func connectionMade() throws(Failure) {}
    /// Sends what was written, then closes.
    public func readConnectionLost() throws(Failure) { transport.loseConnection() }
    /// Does nothing.
    public func writeConnectionLost() throws(Failure) {}
    /// Does nothing.
    public func highWatermarkReached() throws(Failure) {}
    /// Does nothing.
    public func lowWatermarkReached() throws(Failure) {}
    /// Does nothing.
    public func writeDrained() throws(Failure) {}
    /// Sends what was written, then closes.
    public func idleTimeoutExpired() throws(Failure) { transport.loseConnection() }
    /// Does nothing.
    public func connectionLost(_ reason: DisconnectReason) throws(Failure) {}

    /// Calls `dataReceived`.
    @inlinable
    public func _deliver(_ bytes: Span<UInt8>) -> (any Error)? {
        do { try dataReceived(bytes) } catch { return error }
        return nil
    }
}
