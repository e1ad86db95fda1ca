// SPDX-License-Identifier: Apache-2.0

public import Glibc

/// How messages lie in a stream of bytes: where each begins and ends.
///
/// A value without state that looks at bytes and says what they are; `Framing` keeps what a message lacks, and hands
/// messages on. The same bytes give the same frames however they are cut. Programs with a format of their own write a
/// type like `LineFormat`.
public protocol FrameFormat: Sendable {
    /// Looks for the frame that begins with the first of `bytes`.
    ///
    /// - Parameters:
    ///   - bytes: At least 1.
    ///   - scanned: So many of them were looked at before, in vain: what `incomplete` said then, 0 at first.
    func scan(_ bytes: Span<UInt8>, scanned: Int) -> FrameScan

    /// Gives the bytes of a frame with these contents to `write`, in pieces.
    ///
    /// - Throws: `FramingError` when such a frame would be refused by `scan`; nothing was written then.
    func encode(_ contents: Span<UInt8>, _ write: (Span<UInt8>) -> Void) throws(FramingError)
}

/// What a look at some bytes has found.
@frozen public enum FrameScan: Sendable, Equatable {
    /// A frame with the contents `start..<end`, after which the next one begins at `next`, 1...the bytes' count.
    case frame(start: Int, end: Int, next: Int)
    /// No frame yet: after so many bytes looked at, it `needs` more.
    case incomplete(scanned: Int, needs: FrameNeed)
    /// These bytes are no frame, and nothing that follows can make them one.
    case failed(FramingError)
}

/// What an incomplete frame lacks, so that not more is copied than it takes.
@frozen public enum FrameNeed: Sendable, Equatable {
    /// Bytes up to this count, from the frame's first on; then it is worth another look.
    case count(Int)
    /// Bytes up to and with the next one of this value, but not more than up to a count of `atMost`.
    case through(UInt8, atMost: Int)
}

/// Why bytes are no frame, or can't be made one.
public struct FramingError: Error, Equatable, CustomStringConvertible {
    /// What is wrong.
    public enum Kind: Sendable, Equatable {
        /// Longer than the format's limit.
        case tooLong
        /// Not what the format says.
        case malformed
        /// The stream ended within a frame.
        case unfinished
    }

    /// What is wrong.
    public let kind: Kind
    /// One sentence.
    public let description: String

    /// For a format of your own, too.
    public init(_ kind: Kind, _ description: String) {
        self.kind = kind
        self.description = description
    }

    @usableFromInline
    @inline(never)
    static func tooLong(_ limit: Int) -> FramingError {
        FramingError(.tooLong, "a message is longer than the limit of \(limit) bytes")
    }

    @inline(never)
    static func tooLong(_ count: Int, _ limit: Int) -> FramingError {
        FramingError(.tooLong, "a message of \(count) bytes is longer than the limit of \(limit) bytes")
    }

    @inline(never)
    static func unfinished(_ count: Int) -> FramingError {
        FramingError(.unfinished, "the stream ended \(count) bytes into a message")
    }
}

extension Int {
    /// No limit is higher: with a header, or with what is added to a length, it is a number still.
    static var longestFrame: Int { .max / 4 }
}

/// Where the first such byte from `start` on stands: memchr(3), which looks at 32 and more of them at once.
@inlinable
@inline(__always)
func firstIndex(of byte: UInt8, in bytes: Span<UInt8>, from start: Int) -> Int? {
    unsafe bytes.withUnsafeBufferPointer { all -> Int? in
        guard start < all.count, let base = all.baseAddress,
            let found = unsafe memchr(base + start, CInt(byte), all.count - start)
        else { return nil }
        return unsafe UnsafeRawPointer(found) - UnsafeRawPointer(base)
    }
}
