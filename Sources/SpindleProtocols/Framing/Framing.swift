// SPDX-License-Identifier: Apache-2.0

/// Takes a stream of bytes apart into frames: what one connection keeps of a message that has not come to its end.
///
/// A frame that came in one piece is a view of the bytes that came; of one that was cut, not more is copied than it
/// takes. Between frames it owns no buffer, and within one never more than the format's limit. Belongs to one
/// connection.
public final class Framing<Format: FrameFormat> {
    /// What the next byte is. One byte, which is all that each frame asks for.
    @usableFromInline
    enum Mode: UInt8 {
        /// The first of a frame.
        case first
        /// The next one of the frame that is pending.
        case pending
        /// No part of a frame.
        case raw
        /// Dropped: a frame was refused, and where the next one begins nobody knows.
        case failed
    }

    /// How the frames lie in the stream.
    public let format: Format
    @usableFromInline var mode = Mode.first
    /// The beginning of a frame.
    @usableFromInline var pending: [UInt8] = []
    @usableFromInline var scanned = 0
    @usableFromInline var need = FrameNeed.count(1)
    /// Raw bytes that are still to come.
    @usableFromInline var rawLeft = 0
    /// Bytes at the end of the raw piece that is being shown which are no part of it.
    @usableFromInline var unreadRaw = 0

    /// Nothing has come yet.
    @inlinable
    public init(_ format: Format) { self.format = format }

    /// Bytes of a frame that has not come to its end; more than 0 at the end of the stream means that it was cut off.
    public var pendingByteCount: Int { pending.count }

    /// True when a frame was refused: everything that comes is dropped.
    public var hasFailed: Bool { mode == .failed }

    /// True while bytes are raw.
    public var isRaw: Bool { mode == .raw }

    /// From here on, bytes are no frames but `byteCount` raw ones; then frames again.
    ///
    /// Within the callback of a frame that begins with the byte after it. Elsewhere it begins with the next byte that
    /// comes; `takePending` has what came of a frame before.
    ///
    /// - Parameter byteCount: At least 1; `.max` for all that come until `readFrames`.
    public func readRaw(byteCount: Int = .max) {
        precondition(byteCount > 0, "\(byteCount) raw bytes")
        guard mode != .failed else { return }
        mode = .raw
        rawLeft = byteCount
    }

    /// Ends what `readRaw` began.
    ///
    /// - Parameter unread: So many bytes at the end of the raw piece that is being shown belong to frames already.
    public func readFrames(unread: Int = 0) {
        precondition(unread >= 0, "\(unread) unread bytes")
        guard mode != .failed else { return }
        endRaw()
        unreadRaw = unread
    }

    @usableFromInline
    func endRaw() { mode = pending.isEmpty ? .first : .pending }

    /// Takes the beginning of a frame out, as for a connection that is handed to another reactor.
    public func takePending() -> [UInt8] {
        defer {
            pending = []
            scanned = 0
            if mode == .pending { mode = .first }
        }
        return pending
    }

    /// Takes `bytes` apart, until there are none left or a callback has had enough.
    ///
    /// - Parameters:
    ///   - bytes: What came, cut anywhere.
    ///   - frame: Gets each frame's contents. False stops.
    ///   - raw: Gets raw bytes, at least 1. False stops.
    ///   - failed: Told that the bytes are no frame, once.
    ///   - unread: Gets what was not used because a callback stopped: it has to come again, first.
    /// - Throws: What the callbacks throw; whatever is left is gone then.
    @inlinable
    @inline(__always)
    public func take<Failure: Error>(
        _ bytes: Span<UInt8>,
        frame: (Span<UInt8>) throws(Failure) -> Bool,
        raw: (Span<UInt8>) throws(Failure) -> Bool,
        failed: (FramingError) throws(Failure) -> Void,
        unread: (Span<UInt8>) -> Void
    ) throws(Failure) {
        var rest = bytes
        while !rest.isEmpty {
            let goesOn: Bool
            let used: Int
            if mode == .first {
                switch format.scan(rest, scanned: 0) {
                case .frame(let first, let end, let next):
                    let contents = rest.extracting(first..<end)
                    used = next
                    goesOn = try frame(contents)
                case .incomplete(let scanned, let need): return keep(rest, scanned, need)
                case .failed(let error):
                    mode = .failed
                    return try failed(error)
                }
            } else {
                (used, goesOn) = try takeSpecially(rest, frame, raw, failed)
            }
            rest = rest.extracting(droppingFirst: used)
            if !goesOn { return unread(rest) }
        }
    }

    /// When a frame was cut, or bytes are none.
    @inlinable
    @inline(never)
    func takeSpecially<Failure: Error>(
        _ bytes: Span<UInt8>,
        _ frame: (Span<UInt8>) throws(Failure) -> Bool,
        _ raw: (Span<UInt8>) throws(Failure) -> Bool,
        _ failed: (FramingError) throws(Failure) -> Void
    ) throws(Failure) -> (used: Int, goesOn: Bool) {
        switch mode {
        case .failed: return (bytes.count, true)
        case .raw:
            let count = min(rawLeft, bytes.count)
            if rawLeft != .max { rawLeft -= count }
            if rawLeft == 0 { endRaw() }
            unreadRaw = 0
            let goesOn = try raw(bytes.extracting(first: count))
            precondition(unreadRaw <= count, "\(unreadRaw) of \(count) raw bytes unread")
            return (count - unreadRaw, goesOn)
        case .first, .pending: break
        }
        let added = addNeeded(bytes)
        switch format.scan(pending.span, scanned: scanned) {
        case .frame(let first, let end, let next):
            let kept = takePending()
            precondition(kept.count - next < added, "a frame that was complete before its last bytes came")
            return (added - (kept.count - next), try frame(kept.span.extracting(first..<end)))
        case .incomplete(let scanned, let need):
            (self.scanned, self.need) = (scanned, need)
            return (added, true)
        case .failed(let error):
            _ = takePending()
            mode = .failed
            try failed(error)
            return (bytes.count, true)
        }
    }

    /// Keeps the beginning of a frame.
    @usableFromInline
    func keep(_ bytes: Span<UInt8>, _ scanned: Int, _ need: FrameNeed) {
        pending.append(bytes)
        (self.scanned, self.need) = (scanned, need)
        mode = .pending
    }

    /// Adds as much of `bytes` as is worth another look: at least one.
    @usableFromInline
    func addNeeded(_ bytes: Span<UInt8>) -> Int {
        let count: Int
        switch need {
        case .count(let total): count = min(total - pending.count, bytes.count)
        case .through(let byte, let most):
            let end = firstIndex(of: byte, in: bytes, from: 0).map { $0 + 1 } ?? bytes.count
            count = min(end, most - pending.count)
        }
        pending.append(bytes.extracting(first: max(count, 1)))
        return max(count, 1)
    }
}

extension [UInt8] {
    mutating func append(_ bytes: Span<UInt8>) {
        unsafe bytes.withUnsafeBufferPointer { unsafe append(contentsOf: $0) }
    }
}
