// SPDX-License-Identifier: Apache-2.0

/// Bytes that outlive a callback: an immutable slice that may be kept, shared and sent to another core.
///
/// Copying a chunk shares its memory. The memory goes back to the core that it came from when the last copy is
/// gone, wherever that happens.
public struct ByteChunk: Sendable {
    package var storage: ByteStorage
    package private(set) var offset: Int
    /// How many bytes.
    public private(set) var count: Int

    /// A copy of `bytes`, taken from `pool` or, without one, from the heap.
    public init(copying bytes: Span<UInt8>, from pool: BufferPool? = nil) {
        storage = pool?.storage(minimumCapacity: bytes.count) ?? ByteStorage(capacity: bytes.count)
        offset = 0
        count = bytes.count
        storage.append(bytes)
    }

    /// A copy of the array's bytes, on the heap.
    public init(_ bytes: [UInt8]) { self.init(copying: bytes.span) }

    /// The text as UTF-8, on the heap.
    public init(_ text: String) {
        var text = text
        text.makeContiguousUTF8()
        self.init(copying: text.utf8.span)
    }

    /// True without bytes.
    public var isEmpty: Bool { count == 0 }

    /// The bytes, valid for as long as the chunk is.
    public var bytes: Span<UInt8> {
        @_lifetime(borrow self)
        get {
            let all = unsafe UnsafeBufferPointer<UInt8>(
                start: UnsafePointer(storage.base.assumingMemoryBound(to: UInt8.self) + offset),
                count: count
            )
            // The storage lives as long as `self`, which the result borrows, and its bytes never change.
            return unsafe _overrideLifetime(all.span, borrowing: self)
        }
    }

    /// The part of the chunk in `range`, which must lie within 0..<count; shares the memory.
    public func slice(_ range: Range<Int>) -> ByteChunk {
        precondition(range.lowerBound >= 0 && range.upperBound <= count, "slice \(range) of \(count) bytes")
        var part = self
        part.offset += range.lowerBound
        part.count = range.count
        return part
    }

    /// Drops the first `length` bytes.
    package mutating func removeFirst(_ length: Int) {
        precondition(length <= count, "dropping \(length) of \(count) bytes")
        offset += length
        count -= length
    }

    /// Copies as many of `bytes` behind the chunk's end as fit into memory that nobody else sees.
    ///
    /// - Returns: How many were copied, 0...bytes.count.
    package mutating func appendInPlace(_ bytes: Span<UInt8>) -> Int {
        guard offset + count == storage.count, isKnownUniquelyReferenced(&storage) else { return 0 }
        let length = min(bytes.count, storage.capacity - storage.count)
        storage.append(bytes.extracting(first: length))
        count += length
        return length
    }

    /// The bytes as text; what is no UTF-8 becomes replacement characters.
    public var text: String { unsafe bytes.withUnsafeBufferPointer { unsafe String(decoding: $0, as: UTF8.self) } }

    /// The address of the first byte, for one system call; the chunk must be kept alive meanwhile.
    package var baseAddress: UnsafeRawPointer { unsafe UnsafeRawPointer(storage.base + offset) }
}

extension ByteChunk: Equatable {
    /// True when both hold the same bytes.
    public static func == (left: ByteChunk, right: ByteChunk) -> Bool {
        guard left.count == right.count else { return false }
        let (leftBytes, rightBytes) = (left.bytes, right.bytes)
        for index in leftBytes.indices where leftBytes[index] != rightBytes[index] { return false }
        return true
    }
}

/// The memory behind chunks. Appended to while one chunk alone refers to it, immutable afterwards.
// Sendable: `append` is called only by a holder that `isKnownUniquelyReferenced` proves to be alone.
@safe package final class ByteStorage: @unchecked Sendable {
    let base: UnsafeMutableRawPointer
    let capacity: Int
    private(set) var count = 0
    private let sizeIndex: Int
    private let home: BufferHome?

    init(capacity: Int) {
        unsafe base = UnsafeMutableRawPointer.allocate(byteCount: max(capacity, 1), alignment: 16)
        self.capacity = capacity
        sizeIndex = -1
        home = nil
    }

    init(block: UnsafeMutableRawPointer, sizeIndex: Int, home: BufferHome) {
        unsafe base = unsafe block
        capacity = BufferPool.blockSizes[sizeIndex]
        self.sizeIndex = sizeIndex
        self.home = home
    }

    deinit {
        if let home { unsafe home.giveBack(base, sizeIndex: sizeIndex) } else { unsafe base.deallocate() }
    }

    fileprivate func append(_ bytes: Span<UInt8>) {
        precondition(count + bytes.count <= capacity, "\(bytes.count) bytes behind \(count) of \(capacity)")
        let length = bytes.count
        unsafe bytes.withUnsafeBufferPointer { source in
            guard let start = source.baseAddress else { return }
            unsafe (base + count).copyMemory(from: start, byteCount: length)
        }
        count += length
    }
}
