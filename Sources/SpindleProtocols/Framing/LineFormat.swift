// SPDX-License-Identifier: Apache-2.0

/// Lines that end with `\n`, or with `\r\n`: the commonest framing of text.
///
/// Contents are without their end. What is written ends with `\n`, or with `\r\n` when the format says so.
public struct LineFormat: FrameFormat {
    /// The longest line, in bytes without its end.
    public let limitBytes: Int
    /// Lines that are written end with `\r\n`.
    public let writesCarriageReturn: Bool

    /// Lines of at most `limitBytes`, at least 1.
    public init(limitBytes: Int = 16_384, writesCarriageReturn: Bool = false) {
        precondition(limitBytes > 0, "a limit of \(limitBytes) bytes")
        self.limitBytes = min(limitBytes, .longestFrame)
        self.writesCarriageReturn = writesCarriageReturn
    }

    @inlinable static var newline: UInt8 { 10 }
    @inlinable static var carriageReturn: UInt8 { 13 }

    /// Looks for `\n`.
    @inlinable
    @inline(__always)
    public func scan(_ bytes: Span<UInt8>, scanned: Int) -> FrameScan {
        guard let newline = firstIndex(of: LineFormat.newline, in: bytes, from: scanned) else {
            // With its carriage return and newline a line may have two bytes more.
            if bytes.count >= limitBytes + 2 { return .failed(.tooLong(limitBytes)) }
            return .incomplete(scanned: bytes.count, needs: .through(LineFormat.newline, atMost: limitBytes + 2))
        }
        var end = newline
        // In range: between 0 and the newline.
        if newline > 0, unsafe bytes[unchecked: newline - 1] == LineFormat.carriageReturn { end = newline &- 1 }
        guard end <= limitBytes else { return .failed(.tooLong(limitBytes)) }
        return .frame(start: 0, end: end, next: newline &+ 1)
    }

    /// Refuses contents with a `\n`, or with a `\r` at their end, which would be read as a part of it.
    public func encode(_ contents: Span<UInt8>, _ write: (Span<UInt8>) -> Void) throws(FramingError) {
        guard contents.count <= limitBytes else { throw .tooLong(contents.count, limitBytes) }
        guard firstIndex(of: LineFormat.newline, in: contents, from: 0) == nil,
            contents.isEmpty || contents[contents.count - 1] != LineFormat.carriageReturn
        else { throw FramingError(.malformed, "a line that contains the end of a line") }
        write(contents)
        let end: InlineArray<2, UInt8> = [LineFormat.carriageReturn, LineFormat.newline]
        write(end.span.extracting(droppingFirst: writesCarriageReturn ? 0 : 1))
    }
}
