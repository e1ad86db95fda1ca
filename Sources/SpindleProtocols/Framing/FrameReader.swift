// SPDX-License-Identifier: Apache-2.0

public import SpindleCore
public import SpindleReactor

/// What comes in on a connection, message by message, for `async` code: `StreamConnection.frames`.
///
///     for try await line in connection.frames(LineFormat()) { try await connection.write(reply(to: line)) }
///
/// Messages may be kept and sent to other reactors: they share the memory of the piece that they came in. What has
/// come and was not asked for stays here, so one reader serves a connection from when it is made.
public final class FrameReader<Format: FrameFormat>: AsyncSequence {
    private let connection: StreamConnection
    private let framing: Framing<Format>
    /// What came and was not taken yet.
    private var rest = ByteChunk([])
    /// Of raw bytes that are waited for, those that have come.
    private var raw: [UInt8] = []
    /// Why there will be no more messages.
    private var failure: FramingError?

    init(_ connection: StreamConnection, _ format: Format) {
        self.connection = connection
        framing = Framing(format)
    }

    /// Waits for the next message.
    ///
    /// - Returns: Its contents, 0 bytes up to the format's limit; nil when no more comes.
    /// - Throws: `FramingError` when the peer sends what is no frame, or ends within one; as `StreamConnection.read`
    ///   otherwise.
    public nonisolated(nonsending) func next() async throws -> ByteChunk? {
        takeBackRaw()
        while true {
            if let frame = try takeFirst() { return frame }
            guard let chunk = try await connection.read() else { return try end() }
            rest = chunk
        }
    }

    /// Waits for the next message and takes those along that have come with it: for work that costs less for many.
    ///
    /// - Returns: At least one message; nil when no more comes.
    /// - Throws: As `next`, when the messages before have been given out.
    public nonisolated(nonsending) func nextAll() async throws -> [ByteChunk]? {
        guard let first = try await next() else { return nil }
        var all = [first]
        do throws(FramingError) {
            while let frame = try takeFirst() { all.append(frame) }
        } catch {
            // Told when it is asked for the next one.
        }
        return all
    }

    /// A refused message ends it: where the next one begins nobody knows.
    private func takeFirst() throws(FramingError) -> ByteChunk? {
        if let failure { throw failure }
        do throws(FramingError) { return try framing.takeFirst(of: &rest) } catch {
            failure = error
            rest = ByteChunk([])
            throw error
        }
    }

    /// Takes out what has come and was not given out: for who hands the connection on, to another reactor say.
    public func takeUnread() -> ByteChunk {
        takeBackRaw()
        defer { rest = ByteChunk([]) }
        return joined(framing.takePending(), rest)
    }

    /// What `readRaw` has gathered when it was cancelled comes again.
    private func takeBackRaw() {
        guard !raw.isEmpty else { return }
        rest = joined(raw, rest)
        raw = []
    }

    private func joined(_ first: [UInt8], _ second: ByteChunk) -> ByteChunk {
        guard !first.isEmpty else { return second }
        var bytes = first
        bytes.append(second.bytes)
        return ByteChunk(bytes)
    }

    /// Waits for exactly so many bytes that are no frame, as the body that a header has announced.
    ///
    /// - Parameter byteCount: Not negative. The bytes are kept until all are there: have a limit of your own.
    /// - Throws: `FramingError` when the peer ends before; as `StreamConnection.read` otherwise.
    public nonisolated(nonsending) func readRaw(byteCount: Int) async throws -> ByteChunk {
        precondition(byteCount >= 0, "\(byteCount) bytes")
        if let failure { throw failure }
        // What came of a message, or of raw bytes when that was cancelled, is raw now.
        rest = takeUnread()
        while true {
            let wanted = Swift.min(byteCount - raw.count, rest.count)
            let piece = rest.slice(0..<wanted)
            rest.removeFirst(wanted)
            if raw.isEmpty, wanted == byteCount { return piece }
            raw.append(piece.bytes)
            guard raw.count < byteCount else {
                defer { raw = [] }
                return ByteChunk(raw)
            }
            guard let chunk = try await connection.read() else { throw FramingError.unfinished(raw.count) }
            rest = chunk
        }
    }

    private func end() throws -> ByteChunk? {
        // When the engine drains, or this side has closed, a message that was begun is nobody's fault.
        guard framing.pendingByteCount == 0 || !connection.hasPeerEnded else {
            throw FramingError.unfinished(framing.pendingByteCount)
        }
        return nil
    }

    /// Goes on where the last one stopped: there is one stream of messages.
    public func makeAsyncIterator() -> Iterator { Iterator(self) }

    /// Asks for one message after the other.
    public struct Iterator: AsyncIteratorProtocol {
        private let reader: FrameReader

        init(_ reader: FrameReader) { self.reader = reader }

        /// The next message; nil when no more comes.
        public mutating func next(isolation: isolated (any Actor)?) async throws -> ByteChunk? {
            try await reader.next()
        }

        /// As `next(isolation:)`, isolated as the caller is.
        public mutating func next() async throws -> ByteChunk? { try await reader.next() }
    }
}

extension StreamConnection {
    /// What comes in, taken apart into messages; see `FrameReader`.
    public func frames<Format: FrameFormat>(_ format: Format) -> FrameReader<Format> { FrameReader(self, format) }

    /// Waits for bytes and shows every message that they bring to its end to `body`, without a copy.
    ///
    /// - Parameters:
    ///   - framing: Keeps the beginning of a message from call to call.
    ///   - body: Gets each message's contents, valid during the call only. What it writes leaves in one system call.
    /// - Returns: False when no more comes.
    /// - Throws: `FramingError` when the peer sends what is no frame, or ends within one; what `body` throws; as
    ///   `read(_:)` otherwise.
    public nonisolated(nonsending) func readFrames<Format: FrameFormat>(
        _ framing: Framing<Format>,
        _ body: (Span<UInt8>) throws -> Void
    ) async throws -> Bool {
        let failure: FramingError?? = try await read { bytes -> FramingError? in
            var failure: FramingError?
            try framing.take(bytes) { (frame) throws in
                try body(frame)
                return true
            } raw: { (_) throws in
                true
            } failed: { (error) throws in
                failure = error
            } unread: { _ in
            }
            return failure
        }
        if let failure {
            if let failure { throw failure }
            return true
        }
        guard framing.pendingByteCount == 0 || !hasPeerEnded else {
            throw FramingError.unfinished(framing.pendingByteCount)
        }
        return false
    }

    /// Sends a message in a format, and waits as `write(_:)` does.
    ///
    /// - Throws: `FramingError` when such a message would be refused by who reads it: nothing was sent.
    public nonisolated(nonsending) func writeFrame(_ contents: Span<UInt8>, as format: some FrameFormat) async throws {
        try format.encode(contents) { write($0) }
        try await write([])
    }
}

extension Framing {
    /// The first message of `chunk`, which is without it then; nil when it has none left.
    func takeFirst(of chunk: inout ByteChunk) throws(FramingError) -> ByteChunk? {
        while !chunk.isEmpty {
            let isCut = mode == .pending
            let added = isCut ? addNeeded(chunk.bytes) : chunk.count
            let scan = isCut ? format.scan(pending.span, scanned: scanned) : format.scan(chunk.bytes, scanned: 0)
            switch scan {
            case .frame(let start, let end, let next):
                let whole = isCut ? ByteChunk(takePending()) : chunk
                chunk.removeFirst(added - (whole.count - next))
                return whole.slice(start..<end)
            case .incomplete(let scanned, let need):
                if !isCut { pending.append(chunk.bytes) }
                (self.scanned, self.need, mode) = (scanned, need, .pending)
                chunk.removeFirst(added)
            case .failed(let error):
                _ = takePending()
                mode = .failed
                throw error
            }
        }
        return nil
    }
}
