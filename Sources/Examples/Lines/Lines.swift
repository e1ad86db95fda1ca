// SPDX-License-Identifier: Apache-2.0

public import Spindle

/// Bytes as they come, cut anywhere, made lines again.
public struct Lines {
    /// A line was longer than the limit, or has not ended by then.
    public struct TooLong: Error {}

    private let limit: Int
    private var rest: [UInt8] = []

    /// Lines of at most so many bytes.
    public init(limit: Int = 4096) { self.limit = limit }

    /// The lines that `chunk` brings to their end, as text, without `\n` or `\r\n`.
    public mutating func add(_ chunk: ByteChunk) throws(TooLong) -> [String] {
        var lines: [String] = []
        let bytes = chunk.bytes
        for index in bytes.indices {
            guard bytes[index] == UInt8(ascii: "\n") else {
                rest.append(bytes[index])
                guard rest.count <= limit else { throw TooLong() }
                continue
            }
            if rest.last == UInt8(ascii: "\r") { rest.removeLast() }
            lines.append(String(decoding: rest, as: UTF8.self))
            rest.removeAll(keepingCapacity: true)
        }
        return lines
    }
}
