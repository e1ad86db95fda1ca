// SPDX-License-Identifier: Apache-2.0

internal import SpindleCore

/// What one connection has written and the kernel has not taken yet, in order.
///
/// Empty, it owns no memory. Small pieces are copied behind the last chunk where that has room. Files stand beside the
/// chunks, each at its place among their bytes.
struct WriteQueue: Sendable {
    struct WaitingFile: Sendable {
        /// Bytes of chunks between the file before it and this one.
        fileprivate(set) var bytesBefore: Int
        fileprivate(set) var region: FileRegion
        /// So many of the region's first bytes need no look whether they are in memory.
        var readyCount = 0
        /// Of all that were ever queued up to this one, as they were then: bytes of chunks before them, and their own.
        fileprivate let placeThen: Int
        fileprivate let byteCountThen: Int
    }

    private var chunks: ContiguousArray<ByteChunk> = []
    /// The chunks before this index were sent.
    private var first = 0
    /// Nil before the first one.
    private var files: ContiguousArray<WaitingFile>?
    /// Of the chunks.
    private(set) var byteCount = 0

    var isEmpty: Bool { byteCount == 0 && !hasFiles }
    private var hasFiles: Bool { files.map { !$0.isEmpty } ?? false }

    /// Of chunks and files; files with holes may have more than there are numbers for.
    var unsentByteCount: Int {
        guard let first = files?.first, let last = files?.last else { return byteCount }
        let sum = byteCount &+ (last.byteCountThen &- first.byteCountThen) &+ first.region.count
        return sum >= 0 ? sum : .max
    }

    /// What counts against the hard limit: the bytes in memory, and something for each file, which is a descriptor.
    var weight: Int { byteCount + (files?.count ?? 0) * WriteQueue.fileWeight }
    private static var fileWeight: Int { 16 << 10 }

    /// Queues a copy of `bytes`.
    mutating func append(_ bytes: Span<UInt8>, pool: BufferPool) {
        var done = 0
        if first < chunks.count { done = chunks[chunks.count - 1].appendInPlace(bytes) }
        if done < bytes.count {
            chunks.append(ByteChunk(copying: bytes.extracting(droppingFirst: done), from: pool))
        }
        byteCount += bytes.count
    }

    /// Queues the chunk itself.
    mutating func append(_ chunk: ByteChunk) {
        guard !chunk.isEmpty else { return }
        chunks.append(chunk)
        byteCount += chunk.count
    }

    mutating func append(_ region: FileRegion) {
        guard !region.isEmpty else { return }
        var (before, place, total) = (0, 0, 0)
        if let first = files?.first, let last = files?.last {
            before = first.bytesBefore + last.placeThen - first.placeThen
            (place, total) = (last.placeThen, last.byteCountThen)
        }
        let gap = byteCount - before
        files = files ?? []
        files?.append(
            WaitingFile(
                bytesBefore: gap,
                region: region,
                placeThen: place + gap,
                byteCountThen: total &+ region.count
            )
        )
    }

    /// The chunk that is the next to be sent, if it has so many bytes and is sent before any file.
    func nextChunk(from length: Int) -> ByteChunk? {
        guard first < chunks.count, chunks[first].count >= length,
            (files?.first?.bytesBefore ?? .max) >= chunks[first].count
        else { return nil }
        return chunks[first]
    }

    /// The file whose bytes are the next to be sent; nil while others are.
    var nextFile: WaitingFile? {
        get { files?.first.flatMap { $0.bytesBefore == 0 ? $0 : nil } }
        set { if let newValue, hasFiles { files?[0] = newValue } }
    }

    /// Lists the first pieces, as many as one send takes, `limit` bytes at most and none behind the next file, nor what
    /// follows them and has `large` bytes. They stay valid until the queue is changed.
    func list(into pieces: inout SendPieces, atMost limit: Int, before large: Int = .max) {
        var left = min(limit, files?.first?.bytesBefore ?? .max)
        for index in first..<chunks.count {
            guard !pieces.isFull, left > 0, index == first || chunks[index].count < large else { return }
            let count = min(chunks[index].count, left)
            unsafe pieces.append(chunks[index].baseAddress, byteCount: count)
            left -= count
        }
    }

    /// The kernel took the first `length` bytes, of chunks or of a file.
    ///
    /// - Returns: How many of them were in memory.
    @discardableResult
    mutating func removeFirst(_ length: Int) -> Int {
        if hasFiles, removeFirstOfFiles(length) { return 0 }
        precondition(length <= byteCount, "the kernel took \(length) of \(byteCount) bytes")
        byteCount -= length
        if byteCount == 0 {
            dropChunks()
            return length
        }
        var left = length
        while left > 0 {
            let count = chunks[first].count
            if count > left {
                chunks[first].removeFirst(left)
                break
            }
            left -= count
            chunks[first] = ByteChunk([])
            first += 1
        }
        // Keep the array short without moving its elements for every chunk.
        if first > 32, first * 2 > chunks.count {
            chunks.removeFirst(first)
            first = 0
        }
        return length
    }

    /// - Returns: True when the bytes were the file's; else they are those before it.
    private mutating func removeFirstOfFiles(_ length: Int) -> Bool {
        guard var file = files?[0], file.bytesBefore == 0 else {
            files?[0].bytesBefore -= length
            return false
        }
        file.region.removeFirst(length)
        file.readyCount = max(file.readyCount - length, 0)
        if file.region.isEmpty { files?.removeFirst() } else { files?[0] = file }
        return true
    }

    /// Empties the queue.
    mutating func takeAll() -> WriteQueue {
        defer { self = WriteQueue() }
        return self
    }

    mutating func removeAll() { if !isEmpty { self = WriteQueue() } }

    private mutating func dropChunks() {
        chunks = []
        first = 0
    }
}
