// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import Spindle

/// The bytes that a connection sends, by their offset in its stream: every byte of every echo is checked against it.
///
/// A period of 65,521 bytes (a prime, so that no power-of-two message repeats itself soon), stored twice so that
/// every stretch up to a period lies in one piece. Connections begin at different places of it.
struct LoadPattern {
    static let period = 65_521
    private let bytes: [UInt8]

    init() {
        var random = Xorshift()
        let once = (0..<LoadPattern.period).map { _ in UInt8(truncatingIfNeeded: random.next() >> 32) }
        bytes = once + once
    }

    /// Calls `body` with the `count` bytes from `offset` of a stream, in pieces of at most a period.
    func withPieces(from offset: UInt64, count: Int, _ body: (Span<UInt8>) -> Void) {
        var (offset, left) = (offset, count)
        while left > 0 {
            let length = min(left, LoadPattern.period)
            let start = Int(offset % UInt64(LoadPattern.period))
            body(bytes.span.extracting(start..<start + length))
            offset += UInt64(length)
            left -= length
        }
    }

    /// Appends the `count` bytes from `offset` of a stream, at most a period.
    func append(_ count: Int, from offset: UInt64, to buffer: inout [UInt8]) {
        let start = Int(offset % UInt64(LoadPattern.period))
        buffer.append(contentsOf: bytes[start..<start + count])
    }

    /// Writes the `count` bytes before offset `end` of a stream, in one piece where the pattern has it so.
    func write(_ count: Int, before end: UInt64, to transport: any StreamTransport) {
        guard count > 0 else { return }
        withPieces(from: end - UInt64(count), count: count) { transport.write($0) }
    }

    /// The index of the first byte of `received` that is not what stands at `offset` of the stream; nil if none.
    func firstMismatch(_ received: Span<UInt8>, at offset: UInt64) -> Int? {
        var done = 0
        while done < received.count {
            let length = min(received.count - done, LoadPattern.period)
            let start = Int((offset + UInt64(done)) % UInt64(LoadPattern.period))
            let expected = bytes.span.extracting(start..<start + length)
            let piece = received.extracting(done..<done + length)
            if !piece.elementsEqual(expected) {
                for index in piece.indices where piece[index] != expected[index] { return done + index }
            }
            done += length
        }
        return nil
    }
}

extension Span<UInt8> {
    /// memcmp(3): 20 times faster than a loop over the elements.
    fileprivate func elementsEqual(_ other: Span<UInt8>) -> Bool {
        guard count == other.count else { return false }
        return unsafe withUnsafeBufferPointer { left in
            unsafe other.withUnsafeBufferPointer { right in
                guard let left = left.baseAddress, let right = right.baseAddress else { return true }
                return unsafe memcmp(left, right, count) == 0
            }
        }
    }
}
