// SPDX-License-Identifier: Apache-2.0

public import SpindleCore

/// What comes in on a connection, chunk by chunk: `StreamConnection.chunks`.
///
/// Nothing is read ahead: the kernel is asked when the next chunk is. Ends with the peer's bytes; throws as
/// `StreamConnection.read` does.
public struct ByteChunks: AsyncSequence {
    private let connection: StreamConnection

    init(_ connection: StreamConnection) { self.connection = connection }

    /// Goes on where the last one stopped: there is one stream of bytes.
    public func makeAsyncIterator() -> Iterator { Iterator(connection) }

    /// Asks for one chunk after the other.
    public struct Iterator: AsyncIteratorProtocol {
        private let connection: StreamConnection

        init(_ connection: StreamConnection) { self.connection = connection }

        /// The next chunk, at least 1 byte; nil when no more bytes come.
        public mutating func next(isolation: isolated (any Actor)?) async throws -> ByteChunk? {
            try await connection.read()
        }

        /// As `next(isolation:)`, isolated as the caller is.
        public mutating func next() async throws -> ByteChunk? { try await connection.read() }
    }
}

extension StreamConnection {
    /// What comes in, as a sequence of chunks that may be kept and sent to other reactors.
    ///
    ///     for try await chunk in connection.chunks { try await connection.write(chunk) }
    ///
    /// Each is a copy out of the receive buffer; `read(_:)` with a closure makes none.
    public var chunks: ByteChunks { ByteChunks(self) }
}
