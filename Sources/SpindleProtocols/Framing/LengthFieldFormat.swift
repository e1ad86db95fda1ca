// SPDX-License-Identifier: Apache-2.0

/// Messages with a header that says, somewhere in it, how long they are.
///
///     header                                                  payload
///     ├ offset ─┼─ length field: fieldBytes ─┼─ more header ─┤├───────┤
///
/// A frame has `offset` + `fieldBytes` + what the field says + `adjustmentBytes` bytes. So the adjustment is 0 when the
/// field counts what follows it, `-(offset + fieldBytes)` when it counts the whole frame, and the length of the rest of
/// the header when it counts the payload alone. `droppedBytes` of the frame's beginning are not part of the contents.
public struct LengthFieldFormat: FrameFormat {
    /// Bytes before the length field.
    public let offset: Int
    /// Bytes of the length field, 1...8.
    public let fieldBytes: Int
    /// Added to what the field says.
    public let adjustmentBytes: Int
    /// Bytes of the beginning that the contents are without.
    public let droppedBytes: Int
    /// The field's most significant byte comes first.
    public let isBigEndian: Bool
    /// The longest frame, header included.
    public let limitBytes: Int

    private var fieldEnd: Int { offset + fieldBytes }

    /// Traps unless 0 <= `offset`, 1 <= `fieldBytes` <= 8, 0 <= `droppedBytes` and the header fits in `limitBytes`.
    public init(
        offset: Int = 0,
        fieldBytes: Int,
        adjustmentBytes: Int = 0,
        droppedBytes: Int = 0,
        isBigEndian: Bool = true,
        limitBytes: Int = 1 << 20
    ) {
        precondition(offset >= 0 && (1...8).contains(fieldBytes), "a field of \(fieldBytes) bytes at \(offset)")
        precondition(droppedBytes >= 0, "\(droppedBytes) bytes dropped")
        precondition(
            max(offset + fieldBytes, droppedBytes) <= limitBytes,
            "a limit of \(limitBytes) bytes is shorter than the header"
        )
        self.offset = offset
        self.fieldBytes = fieldBytes
        self.adjustmentBytes = adjustmentBytes
        self.droppedBytes = droppedBytes
        self.isBigEndian = isBigEndian
        precondition(adjustmentBytes.magnitude <= UInt(Int.longestFrame), "an adjustment of \(adjustmentBytes) bytes")
        self.limitBytes = min(limitBytes, .longestFrame)
    }

    /// Reads the length field. A frame that is too long fails before any more of it was kept.
    public func scan(_ bytes: Span<UInt8>, scanned: Int) -> FrameScan {
        guard bytes.count >= fieldEnd else { return .incomplete(scanned: bytes.count, needs: .count(fieldEnd)) }
        var field: UInt64 = 0
        for index in 0..<fieldBytes {
            let place = isBigEndian ? offset + index : fieldEnd - 1 - index
            field = field << 8 | UInt64(bytes[place])
        }
        // Nothing here can overflow: the field is compared before anything is added to it.
        let most = limitBytes - fieldEnd - adjustmentBytes
        guard most >= 0, field <= UInt64(most) else { return .failed(.tooLong(limitBytes)) }
        let count = fieldEnd + Int(field) + adjustmentBytes
        guard count >= max(fieldEnd, droppedBytes) else {
            return .failed(FramingError(.malformed, "a length field says \(field), which is shorter than the header"))
        }
        guard bytes.count >= count else { return .incomplete(scanned: bytes.count, needs: .count(count)) }
        return .frame(start: droppedBytes, end: count, next: count)
    }

    /// `contents` are as `scan` gives them, without the bytes that it drops: with `droppedBytes` up to the field's end
    /// the header is made here; whole frames, with nothing dropped, are sent as they are once their field is right.
    public func encode(_ contents: Span<UInt8>, _ write: (Span<UInt8>) -> Void) throws(FramingError) {
        let count = contents.count + droppedBytes
        guard count <= limitBytes else { throw .tooLong(count, limitBytes) }
        let field = count - fieldEnd - adjustmentBytes
        guard field >= 0, fieldBytes == 8 || field >> (8 * fieldBytes) == 0 else {
            throw FramingError(.malformed, "a message of \(count) bytes, which the length field can't say")
        }
        guard droppedBytes == 0 else {
            guard offset == 0, droppedBytes == fieldEnd else {
                throw FramingError(.malformed, "a header that the format drops and can't make")
            }
            writeNumber(UInt64(field), byteCount: fieldBytes, isBigEndian: isBigEndian, write)
            return write(contents)
        }
        guard case .frame(_, contents.count, contents.count) = scan(contents, scanned: 0) else {
            throw FramingError(.malformed, "a message of \(count) bytes whose length field says otherwise")
        }
        write(contents)
    }
}
