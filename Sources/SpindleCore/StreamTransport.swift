// SPDX-License-Identifier: Apache-2.0

/// One connection, as its protocol sees it: bytes out, and control.
///
/// Owned by one reactor and not Sendable; every call belongs on that reactor's thread. Every call may be made
/// from every callback, at any time, in any number: what no longer makes sense does nothing.
public protocol StreamTransport: SocketTransport {
    /// The other end. Readable for ever, also after `connectionLost`.
    var peerAddress: SocketAddress { get }
    /// This end. Readable for ever, also after `connectionLost`.
    var localAddress: SocketAddress { get }
    /// Who opened the other end, when this is a Unix socket that is still open; else nil.
    var peerCredentials: PeerCredentials? { get }

    /// Identifies the connection in logs: counted from 1 on each reactor.
    var connectionNumber: UInt64 { get }
    /// The bytes that were written and not yet taken by the kernel.
    var bufferedByteCount: Int { get }
    /// False once the connection is closing or closed; writing then does nothing.
    var isWritable: Bool { get }

    /// Sends `bytes`, in order, without blocking.
    ///
    /// What is written during a callback leaves in one system call when the callback returns. Large pieces are
    /// handed to the kernel at once. What the kernel does not take is copied and waits. Empty spans do nothing;
    /// after `loseConnection`, `loseWriteConnection` or the end of the connection the bytes are dropped.
    func write(_ bytes: Span<UInt8>)

    /// Sends the chunk without copying it if it has to wait; a large one from where it lies, where the engine is told
    /// to (`--zero-copy`).
    func write(_ chunk: ByteChunk)

    /// Sends bytes of a file, behind what was written before, without reading them into memory. sendfile(2).
    ///
    /// They count as unsent until the kernel has taken them, watermarks and `writeDrained` included; of the hard limit
    /// a waiting file takes 16 KiB. What is not in the system's memory is read by the blocking pool first, so that no
    /// other connection waits for a disk; no timeout runs meanwhile. After `loseConnection` the close timeout begins
    /// anew whenever the peer has taken some of a file. One that has become shorter, or can't be read, ends the
    /// connection with `.failed(FileError)` and a reset: the peer was promised bytes that don't exist.
    func write(_ file: FileRegion)

    /// Has descriptors go with the first byte that is written next: the peer gets numbers of its own for the same open
    /// files. Over Unix sockets only. SCM_RIGHTS, unix(7).
    ///
    /// - Parameter descriptors: Open; at most 253 for one byte, and 1,024 that wait. The caller closes them, now or
    ///   later: what is sent are duplicates.
    /// - Throws: `PassingError`; none of them is sent then.
    func pass(_ descriptors: [Int32]) throws(PassingError)

    /// So many descriptors of the peer's may have come without having been taken; 0, as at first, lets the kernel close
    /// what comes. Of a peer that passes more the connection ends with `.failed(PassingError.lost)`. Of a Unix socket
    /// only.
    var passedDescriptorLimit: Int { get set }

    /// The descriptors that came with the bytes so far and were not taken, in order. Those that nobody takes are closed
    /// with the connection.
    ///
    /// To be asked in `dataReceived`: descriptors come with the first byte that they were sent with, or with bytes that
    /// lie before it, never later.
    func takePassedDescriptors() -> [PassedDescriptor]

    /// Sends what was written, then closes: `connectionLost(.done)` follows in a later turn.
    ///
    /// Reading stops now, and later writes are dropped. If the peer does not take what is left within the close
    /// timeout, the connection is reset. Repeated calls do nothing.
    func loseConnection()

    /// Drops what is unsent and resets: `connectionLost(.aborted)` follows in a later turn, no data before it.
    func abortConnection()

    /// Sends what was written, then tells the peer that no more comes; reading goes on.
    func loseWriteConnection()

    /// Stops `dataReceived` until `resumeProducing`. An error of the connection is still noticed.
    func pauseProducing()

    /// Lets `dataReceived` happen again, in a later turn; bytes that waited come first.
    func resumeProducing()

    /// Reading pauses by itself while more is unsent than the high watermark. On by default, where the engine's
    /// configuration does not say otherwise: right for who answers what comes in here. Off for who sends what comes in
    /// elsewhere, and pauses that.
    var pausesReadingAtHighWatermark: Bool { get set }

    /// Has a producer write as fast as this connection takes it, until it is unregistered or stopped. It is stopped at
    /// once when nothing can be written any more, and paused when too much is unsent already.
    ///
    /// - Throws: `ProducerError` when there is one already.
    func register(_ producer: any PushProducer) throws(ProducerError)

    /// As for one that pushes; it is asked for its first piece in a later turn.
    func register(_ producer: any PullProducer) throws(ProducerError)

    /// The producer has no more to write, and is told nothing any more. Does nothing without one.
    func unregisterProducer()

    /// True while `dataReceived` may come: the connection is open, reading is not paused, the peer has not ended.
    var isReading: Bool { get }

    /// Puts bytes back that `dataReceived` was given and the protocol does not want yet.
    ///
    /// They come again in a later turn once reading goes on, before all others; a connection that is closing drops
    /// them. A copy: for the rest of a piece, after a pause in its middle.
    func unread(_ bytes: Span<UInt8>)

    /// Sets the time without bytes read or sent after which `idleTimeoutExpired` is called; nil for never.
    ///
    /// - Returns: What was set before.
    @discardableResult
    func setIdleTimeout(_ timeout: Duration?) -> Duration?

    /// Ends the connection with `.timedOut(.handshake)` when so much time has passed, whatever was read and sent
    /// meanwhile; nil when the handshake is over.
    func setHandshakeTimeout(_ timeout: Duration?)

    /// Keeps an object until the connection is closed, on whichever reactor that is: what counts it, say.
    func hold(_ object: any AnyObject & Sendable)

    /// Reading is no faster than all of these allow, its own limit first and then those that it shares with others:
    /// more stays in the kernel, which slows the peer down. None at first. Waiting for them is not being idle.
    var readLimits: [RateLimit] { get set }

    /// Sending is no faster than all of these allow, its own limit first and then those that it shares with others:
    /// more waits as if the peer didn't take it, watermarks and hard limit included. None at first. Neither timeout
    /// for a peer that doesn't read runs while they make it wait.
    var writeLimits: [RateLimit] { get set }
}

extension StreamTransport {
    /// Sends `bytes`, and descriptors with the first of them, as `pass` does.
    ///
    /// - Parameters:
    ///   - bytes: At least one.
    ///   - descriptors: As of `pass`.
    /// - Throws: `PassingError`; nothing is sent then.
    public func write(_ bytes: Span<UInt8>, passing descriptors: [Int32]) throws(PassingError) {
        guard !bytes.isEmpty else { throw .noBytes }
        try pass(descriptors)
        write(bytes)
    }

    /// Sends the bytes of an array.
    public func write(_ bytes: [UInt8]) { write(bytes.span) }

    /// Sends the text as UTF-8.
    public func write(_ text: String) {
        var text = text
        text.makeContiguousUTF8()
        write(text.utf8.span)
    }

    /// Sends the text as UTF-8, without allocation.
    public func write(_ text: StaticString) {
        // The string's bytes are part of the program: they outlive the call.
        text.withUTF8Buffer { unsafe write($0.span) }
    }

    /// Sends the pieces in order; as if each were written alone, but in one system call where possible.
    public func write(_ pieces: [ByteChunk]) {
        for piece in pieces { write(piece) }
    }
}
