// SPDX-License-Identifier: Apache-2.0

/// Netstrings: `5:hello,`. Source: D. J. Bernstein, "Netstrings", 1997.
public struct NetstringFormat: FrameFormat {
    /// The longest message, in bytes.
    public let limitBytes: Int

    /// Messages of at most `limitBytes`, 0...999,999,999.
    public init(limitBytes: Int = 99_999) {
        precondition((0...999_999_999).contains(limitBytes), "a limit of \(limitBytes) bytes")
        self.limitBytes = limitBytes
    }

    /// Reads the length: digits without a leading zero, then a colon.
    public func scan(_ bytes: Span<UInt8>, scanned: Int) -> FrameScan {
        var length = 0
        var index = 0
        while index < bytes.count, bytes[index] != UInt8(ascii: ":") {
            guard case UInt8(ascii: "0")...UInt8(ascii: "9") = bytes[index] else {
                return .failed(FramingError(.malformed, "a netstring's length has a byte that is no digit"))
            }
            guard index == 0 || length > 0 else {
                return .failed(FramingError(.malformed, "a netstring's length begins with a zero"))
            }
            length = length * 10 + Int(bytes[index] - UInt8(ascii: "0"))
            guard length <= limitBytes else { return .failed(.tooLong(limitBytes)) }
            index += 1
        }
        guard index < bytes.count else {
            return .incomplete(scanned: bytes.count, needs: .count(bytes.count + 1))
        }
        guard index > 0 else { return .failed(FramingError(.malformed, "a netstring without a length")) }
        let start = index + 1
        guard bytes.count > start + length else {
            return .incomplete(scanned: bytes.count, needs: .count(start + length + 1))
        }
        guard bytes[start + length] == UInt8(ascii: ",") else {
            return .failed(FramingError(.malformed, "a netstring without the comma at its end"))
        }
        return .frame(start: start, end: start + length, next: start + length + 1)
    }

    /// The length, a colon, the contents, a comma.
    public func encode(_ contents: Span<UInt8>, _ write: (Span<UInt8>) -> Void) throws(FramingError) {
        guard contents.count <= limitBytes else { throw .tooLong(contents.count, limitBytes) }
        var header = "\(contents.count):"
        header.makeContiguousUTF8()
        write(header.utf8.span)
        write(contents)
        let comma: InlineArray<1, UInt8> = [UInt8(ascii: ",")]
        write(comma.span)
    }
}
