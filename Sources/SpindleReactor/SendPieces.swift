// SPDX-License-Identifier: Apache-2.0

package import SpindleSystem

/// The pieces of one vectored send, in order; a list that is filled, sent and emptied again.
///
/// Holds addresses only: what they point to must stay alive until the send is done. That is why it is filled in
/// one place, `Connection+Sending.swift`, right before the call.
@safe public struct SendPieces: ~Copyable {
    /// IOV_MAX is 1024; beyond some dozens a longer list gains nothing.
    static let capacity = 64

    private let pieces: UnsafeMutableBufferPointer<SendPiece>
    /// How many pieces.
    public private(set) var count = 0
    /// The bytes of all pieces.
    public private(set) var byteCount = 0

    init() { unsafe pieces = .allocate(capacity: SendPieces.capacity) }

    deinit { unsafe pieces.deallocate() }

    var isFull: Bool { count == SendPieces.capacity }

    mutating func removeAll() {
        count = 0
        byteCount = 0
    }

    mutating func append(_ base: UnsafeRawPointer, byteCount length: Int) {
        precondition(!isFull, "more than \(SendPieces.capacity) pieces")
        unsafe (pieces.baseAddress! + count).initialize(to: SendPiece(base: base, byteCount: length))
        count += 1
        byteCount += length
    }

    /// The piece at `index`, which must be below `count`.
    @unsafe public subscript(index: Int) -> UnsafeRawBufferPointer {
        let piece = unsafe pieces[index]
        return unsafe UnsafeRawBufferPointer(start: piece.base, count: piece.byteCount)
    }

    /// All pieces, as the kernel wants them.
    @unsafe package var vector: UnsafeMutableBufferPointer<SendPiece> {
        unsafe UnsafeMutableBufferPointer(rebasing: pieces[..<count])
    }
}
