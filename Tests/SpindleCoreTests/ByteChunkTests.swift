// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import SpindleCore

@Suite struct ByteChunkTests {
    private func bytes(_ chunk: ByteChunk) -> [UInt8] { chunk.bytes.indices.map { chunk.bytes[$0] } }

    @Test(
        "a chunk keeps its bytes, whatever its size and wherever its memory is from",
        arguments: [0, 1, 1024, 1025, 70_000]
    )
    func content(count: Int) {
        let source = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        let pool = BufferPool()
        for chunk in [ByteChunk(source), ByteChunk(copying: source.span, from: pool)] {
            #expect(bytes(chunk) == source && chunk.count == count && chunk.isEmpty == (count == 0))
        }
    }

    @Test("slices share the memory and keep to their range")
    func slices() {
        let chunk = ByteChunk([0, 1, 2, 3, 4, 5])
        #expect(bytes(chunk.slice(2..<5)) == [2, 3, 4])
        #expect(bytes(chunk.slice(2..<5).slice(1..<2)) == [3])
        #expect(chunk.slice(6..<6).isEmpty)
        #expect(chunk.slice(1..<3) == ByteChunk([1, 2]) && chunk.slice(1..<3) != ByteChunk([1, 3]))
    }

    @Test("a slice beyond the end traps with its range")
    func sliceBeyond() async {
        await #expect(processExitsWith: .failure) { _ = ByteChunk([1, 2]).slice(1..<3) }
    }

    @Test("bytes are appended in place only while nobody else can see the memory")
    func appending() {
        let pool = BufferPool()
        let (two, one, pair): ([UInt8], [UInt8], [UInt8]) = ([3, 4], [5], [7, 8])
        var chunk = ByteChunk(copying: [1, 2].span, from: pool)
        #expect(chunk.appendInPlace(two.span) == 2)
        #expect(bytes(chunk) == [1, 2, 3, 4])
        let copy = chunk
        #expect(chunk.appendInPlace(one.span) == 0)
        #expect(bytes(copy) == [1, 2, 3, 4])
        var full = ByteChunk(copying: [UInt8](repeating: 0, count: 1023).span, from: pool)
        #expect(full.appendInPlace(pair.span) == 1 && full.count == 1024)
    }

    @Test("blocks go back to their pool, from any thread, and are used again, up to its limit")
    func pooling() async {
        let pool = BufferPool(retainedBytes: 4096)
        let one: [UInt8] = [1]
        // Given away with the task: the last copy goes on its thread.
        let kept = Kept((0..<8).map { _ in ByteChunk(copying: one.span, from: pool) })
        #expect(pool.retainedByteCount == 0)
        await Task.detached { kept.dropAll() }.value
        #expect(pool.retainedByteCount == 4096, "four blocks are kept, four were freed")
        let again = ByteChunk(copying: one.span, from: pool)
        #expect(pool.retainedByteCount == 3072)
        withExtendedLifetime(again) {}
    }

    /// Holds chunks until it is told to drop them.
    // Sendable: one task at a time uses it, and awaiting it orders them.
    private final class Kept: @unchecked Sendable {
        private var chunks: [ByteChunk]
        init(_ chunks: [ByteChunk]) { self.chunks = chunks }
        func dropAll() { chunks = [] }
    }

    @Test("a chunk outlives its pool")
    func orphans() {
        let three: [UInt8] = [1, 2, 3]
        var pool: BufferPool? = BufferPool()
        let chunk = ByteChunk(copying: three.span, from: pool)
        pool = nil
        #expect(bytes(chunk) == three)
    }
}
