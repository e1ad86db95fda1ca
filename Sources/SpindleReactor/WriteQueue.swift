// SPDX-License-Identifier: Apache-2.0

internal import SpindleCore

/// Bytes of one connection that the kernel has not taken yet, in order.
///
/// Empty, it owns no memory. Small pieces are copied behind the last chunk where that has room.
struct WriteQueue {
    private var chunks: ContiguousArray<ByteChunk> = []
    /// The chunks before this index were sent.
    private var first = 0
    private(set) var byteCount = 0

    var isEmpty: Bool { byteCount == 0 }

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

    /// Lists the first pieces, as many as one send takes, `limit` bytes at most. They stay valid until the queue is
    /// changed.
    func list(into pieces: inout SendPieces, atMost limit: Int) {
        var left = limit
        for index in first..<chunks.count {
            guard !pieces.isFull, left > 0 else { return }
            let count = min(chunks[index].count, left)
            unsafe pieces.append(chunks[index].baseAddress, byteCount: count)
            left -= count
        }
    }

    /// The kernel took the first `length` bytes.
    mutating func removeFirst(_ length: Int) {
        precondition(length <= byteCount, "the kernel took \(length) of \(byteCount) bytes")
        byteCount -= length
        if byteCount == 0 { return removeAll() }
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
    }

    /// Empties the queue.
    mutating func takeAll() -> [ByteChunk] {
        defer { removeAll() }
        return Array(chunks[first...])
    }

    mutating func removeAll() {
        chunks = []
        first = 0
        byteCount = 0
    }
}
