// SPDX-License-Identifier: Apache-2.0

public import SpindleCore

/// A protocol of messages: gets whole frames, however the network cut them.
///
///     final class Shout: FramedProtocol {
///         let transport: any StreamTransport
///         let framing = Framing(LineFormat(limitBytes: 1000))
///         init(_ transport: any StreamTransport) { self.transport = transport }
///         func frameReceived(_ line: Span<UInt8>) { writeFrame(uppercased(line)) }
///     }
///
/// After `pauseProducing` or an end in a callback no frame follows, not even one that has come already; after
/// `resumeProducing` they go on where they stopped.
public protocol FramedProtocol: StreamProtocol {
    /// How the messages lie in the stream.
    associatedtype Format: FrameFormat

    /// What takes the stream apart; one for each connection.
    var framing: Framing<Format> { get }

    /// A message came.
    ///
    /// - Parameter frame: Its contents, 0 bytes up to the format's limit. Valid during the call only; keep a copy with
    ///   `ByteChunk(copying:)`.
    func frameReceived(_ frame: Span<UInt8>) throws(Failure)

    /// Bytes came while `framing` reads raw ones. By default does nothing.
    ///
    /// - Parameter bytes: At least 1, cut wherever the network cut them.
    func rawDataReceived(_ bytes: Span<UInt8>) throws(Failure)

    /// The peer sent what is no frame, or one beyond the limit: whatever else comes is dropped.
    ///
    /// By default calls `transport.loseConnection()`.
    func framingFailed(_ error: FramingError) throws(Failure)
}

extension FramedProtocol {
    /// Does nothing.
    public func rawDataReceived(_ bytes: Span<UInt8>) throws(Failure) {}

    /// Sends what was written, then closes.
    public func framingFailed(_ error: FramingError) throws(Failure) { transport.loseConnection() }

    /// Takes the bytes apart.
    @inlinable
    public func dataReceived(_ bytes: Span<UInt8>) throws(Failure) {
        let transport = transport
        try framing.take(bytes) { (frame) throws(Failure) -> Bool in
            try frameReceived(frame)
            return transport.isReading
        } raw: { (raw) throws(Failure) -> Bool in
            try rawDataReceived(raw)
            return transport.isReading
        } failed: { (error) throws(Failure) in
            try framingFailed(error)
        } unread: { rest in
            transport.unread(rest)
        }
    }

    /// Sends a message.
    ///
    /// - Throws: `FramingError` when the format's limit is passed, or the contents can't be told from the format's own
    ///   bytes: nothing was sent.
    public func writeFrame(_ contents: Span<UInt8>) throws(FramingError) {
        try transport.writeFrame(contents, as: framing.format)
    }

    /// Sends a message of text, as UTF-8; as `writeFrame` of a span.
    public func writeFrame(_ contents: String) throws(FramingError) {
        var contents = contents
        contents.makeContiguousUTF8()
        try writeFrame(contents.utf8.span)
    }
}

extension StreamTransport {
    /// Sends a message in a format.
    ///
    /// - Throws: `FramingError` when such a message would be refused by who reads it: nothing was sent.
    public func writeFrame(_ contents: Span<UInt8>, as format: some FrameFormat) throws(FramingError) {
        try format.encode(contents) { write($0) }
    }
}
