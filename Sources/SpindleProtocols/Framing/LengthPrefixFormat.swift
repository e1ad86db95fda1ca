// SPDX-License-Identifier: Apache-2.0

/// Messages behind their length, a number of 1, 2, 4 or 8 bytes in network order: the commonest binary framing.
///
/// `LengthPrefixFormat<UInt32>` has four bytes. The length does not count itself; a message may be empty.
public struct LengthPrefixFormat<Prefix: FixedWidthInteger & UnsignedInteger & Sendable>: FrameFormat {
    /// The longest message, in bytes without its prefix.
    public let limitBytes: Int

    /// Messages of at most `limitBytes`, not negative; no more than the prefix can say.
    public init(limitBytes: Int = 99_999) {
        precondition(limitBytes >= 0, "a limit of \(limitBytes) bytes")
        self.limitBytes = min(limitBytes, .longestFrame, Int(clamping: Prefix.max))
    }

    @inlinable static var prefixBytes: Int { Prefix.bitWidth / 8 }

    /// Reads the prefix. A message that is too long fails before any of it was kept.
    @inlinable
    @inline(__always)
    public func scan(_ bytes: Span<UInt8>, scanned: Int) -> FrameScan {
        let start = LengthPrefixFormat.prefixBytes
        guard bytes.count >= start else { return .incomplete(scanned: bytes.count, needs: .count(start)) }
        let length = Int(clamping: bytes.bigEndianNumber(Prefix.self, at: 0))
        guard length <= limitBytes else { return .failed(.tooLong(limitBytes)) }
        guard bytes.count - start >= length else {
            return .incomplete(scanned: bytes.count, needs: .count(start + length))
        }
        return .frame(start: start, end: start + length, next: start + length)
    }

    /// The prefix, then the contents.
    public func encode(_ contents: Span<UInt8>, _ write: (Span<UInt8>) -> Void) throws(FramingError) {
        guard contents.count <= limitBytes else { throw .tooLong(contents.count, limitBytes) }
        writeNumber(UInt64(contents.count), byteCount: LengthPrefixFormat.prefixBytes, isBigEndian: true, write)
        write(contents)
    }
}

extension Span<UInt8> {
    /// The number whose most significant byte stands at `offset`.
    @inlinable
    @inline(__always)
    func bigEndianNumber<Number: FixedWidthInteger>(_: Number.Type, at offset: Int) -> Number {
        precondition(offset >= 0 && offset <= count - Number.bitWidth / 8, "a number beyond the end")
        return unsafe withUnsafeBytes {
            Number(bigEndian: unsafe $0.loadUnaligned(fromByteOffset: offset, as: Number.self))
        }
    }
}

/// Writes the last `byteCount` bytes, 1...8, of `number`.
func writeNumber(_ number: UInt64, byteCount: Int, isBigEndian: Bool, _ write: (Span<UInt8>) -> Void) {
    var bytes = InlineArray<8, UInt8>(repeating: 0)
    for index in 0..<byteCount {
        let shift = 8 * (isBigEndian ? byteCount - 1 - index : index)
        bytes[index] = UInt8(truncatingIfNeeded: number >> UInt64(shift))
    }
    write(bytes.span.extracting(first: byteCount))
}
