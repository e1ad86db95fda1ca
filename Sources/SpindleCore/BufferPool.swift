// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// One core's store of memory blocks for `ByteChunk`s.
///
/// Blocks of three sizes are kept for reuse up to a limit; larger requests are allocated and freed one by one.
/// The owner takes blocks on its own thread. Blocks come back from any thread, since chunks travel, onto a
/// lock-free stack that the owner empties in one exchange (so there is no ABA: nobody pops a single block).
///
///     take ── free list (owner only) ◀── exchange(nil) ── returned stack ◀── push (any thread)
@safe public final class BufferPool {
    /// The block sizes in bytes.
    package static let blockSizes = [1 << 10, 1 << 13, 1 << 16]

    private let home: BufferHome
    /// Blocks that only the owner sees, a list per size, linked through their first word.
    private var free: [UnsafeMutableRawPointer?]

    /// - Parameter retainedBytes: How many bytes of unused blocks are kept at most; what comes back beyond is freed.
    public init(retainedBytes: Int = 4 << 20) {
        home = BufferHome(retainedBytes: retainedBytes)
        unsafe free = unsafe [UnsafeMutableRawPointer?](repeating: nil, count: BufferPool.blockSizes.count)
    }

    deinit {
        for index in BufferPool.blockSizes.indices {
            var block = unsafe free[index]
            while let current = unsafe block {
                unsafe block = unsafe current.load(as: UnsafeMutableRawPointer?.self)
                unsafe current.deallocate()
                home.forget(bytes: BufferPool.blockSizes[index])
            }
        }
    }

    /// Empty storage with room for at least `minimumCapacity` bytes.
    func storage(minimumCapacity: Int) -> ByteStorage {
        guard let index = BufferPool.blockSizes.firstIndex(where: { $0 >= minimumCapacity }) else {
            return ByteStorage(capacity: minimumCapacity)
        }
        if unsafe free[index] == nil { unsafe free[index] = unsafe home.takeReturned(index) }
        if let block = unsafe free[index] {
            unsafe free[index] = unsafe block.load(as: UnsafeMutableRawPointer?.self)
            home.forget(bytes: BufferPool.blockSizes[index])
            return unsafe ByteStorage(block: block, sizeIndex: index, home: home)
        }
        let block = UnsafeMutableRawPointer.allocate(byteCount: BufferPool.blockSizes[index], alignment: 16)
        return unsafe ByteStorage(block: block, sizeIndex: index, home: home)
    }

    /// The bytes of unused blocks that are kept at this moment.
    package var retainedByteCount: Int { home.retainedByteCount }
}

/// Where blocks go back to; outlives its pool while chunks of it are alive somewhere.
// Sendable: the only mutable state is atomic, and a returned block belongs to the stack alone.
@safe final class BufferHome: @unchecked Sendable {
    private let limit: Int
    private let retained = Atomic<Int>(0)
    private let returned0 = unsafe Atomic<UnsafeMutableRawPointer?>(nil)
    private let returned1 = unsafe Atomic<UnsafeMutableRawPointer?>(nil)
    private let returned2 = unsafe Atomic<UnsafeMutableRawPointer?>(nil)

    init(retainedBytes: Int) { limit = retainedBytes }

    deinit {
        for index in BufferPool.blockSizes.indices {
            var block = unsafe takeReturned(index)
            while let current = unsafe block {
                unsafe block = unsafe current.load(as: UnsafeMutableRawPointer?.self)
                unsafe current.deallocate()
            }
        }
    }

    var retainedByteCount: Int { retained.load(ordering: .relaxed) }

    func forget(bytes: Int) { retained.subtract(bytes, ordering: .relaxed) }

    func giveBack(_ block: UnsafeMutableRawPointer, sizeIndex: Int) {
        let size = BufferPool.blockSizes[sizeIndex]
        guard retained.add(size, ordering: .relaxed).newValue <= limit else {
            forget(bytes: size)
            return unsafe block.deallocate()
        }
        switch sizeIndex {
        case 0: unsafe push(block, returned0)
        case 1: unsafe push(block, returned1)
        default: unsafe push(block, returned2)
        }
    }

    func takeReturned(_ sizeIndex: Int) -> UnsafeMutableRawPointer? {
        switch sizeIndex {
        case 0: unsafe returned0.exchange(nil, ordering: .acquiring)
        case 1: unsafe returned1.exchange(nil, ordering: .acquiring)
        default: unsafe returned2.exchange(nil, ordering: .acquiring)
        }
    }

    private func push(_ block: UnsafeMutableRawPointer, _ stack: borrowing Atomic<UnsafeMutableRawPointer?>) {
        var top = unsafe stack.load(ordering: .relaxed)
        while true {
            unsafe block.storeBytes(of: top, as: UnsafeMutableRawPointer?.self)
            let (exchanged, now) = unsafe stack.weakCompareExchange(
                expected: top,
                desired: block,
                ordering: .releasing
            )
            if exchanged { return }
            unsafe top = unsafe now
        }
    }
}
