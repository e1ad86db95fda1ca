// SPDX-License-Identifier: Apache-2.0

/// Messages that end with a fixed sequence of bytes.
///
/// Contents are without it. The first place where the whole delimiter stands is the end.
public struct DelimiterFormat: FrameFormat {
    /// What ends each message, at least 1 byte.
    public let delimiter: [UInt8]
    /// The longest message, in bytes without its delimiter.
    public let limitBytes: Int

    /// Messages of at most `limitBytes`, at least 1, each with `delimiter`, at least 1 byte, at its end.
    public init(_ delimiter: [UInt8], limitBytes: Int = 16_384) {
        precondition(!delimiter.isEmpty, "a delimiter without bytes")
        precondition(limitBytes > 0, "a limit of \(limitBytes) bytes")
        self.delimiter = delimiter
        self.limitBytes = min(limitBytes, .longestFrame)
    }

    /// As with bytes; the text's UTF-8, as `"\r\n"`.
    public init(_ delimiter: String, limitBytes: Int = 16_384) {
        self.init(Array(delimiter.utf8), limitBytes: limitBytes)
    }

    /// Looks for the delimiter.
    public func scan(_ bytes: Span<UInt8>, scanned: Int) -> FrameScan {
        // It may have begun with what was the end then.
        let start = max(0, scanned - delimiter.count + 1)
        guard let end = place(in: bytes, from: start) else {
            if bytes.count >= limitBytes + delimiter.count { return .failed(.tooLong(limitBytes)) }
            let need = FrameNeed.through(delimiter[delimiter.count - 1], atMost: limitBytes + delimiter.count)
            return .incomplete(scanned: bytes.count, needs: need)
        }
        guard end <= limitBytes else { return .failed(.tooLong(limitBytes)) }
        return .frame(start: 0, end: end, next: end + delimiter.count)
    }

    private func place(in bytes: Span<UInt8>, from start: Int) -> Int? {
        var next = start
        while let first = firstIndex(of: delimiter[0], in: bytes, from: next), first + delimiter.count <= bytes.count {
            if delimiter.indices.allSatisfy({ bytes[first + $0] == delimiter[$0] }) { return first }
            next = first + 1
        }
        return nil
    }

    /// Refuses contents after which the delimiter would be found too early.
    public func encode(_ contents: Span<UInt8>, _ write: (Span<UInt8>) -> Void) throws(FramingError) {
        guard contents.count <= limitBytes else { throw .tooLong(contents.count, limitBytes) }
        // It may begin with the contents' last bytes, as `aa` in `xa` and itself.
        var end: [UInt8] = []
        for index in max(0, contents.count - delimiter.count + 1)..<contents.count { end.append(contents[index]) }
        let overlap = end.count
        end += delimiter
        guard place(in: contents, from: 0) == nil, place(in: end.span, from: 0) == overlap else {
            throw FramingError(.malformed, "a message that contains its delimiter")
        }
        write(contents)
        write(delimiter.span)
    }
}
