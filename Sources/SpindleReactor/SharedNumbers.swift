// SPDX-License-Identifier: Apache-2.0

internal import Synchronization

/// Numbers that one thread writes and any thread reads, on cache lines of their own, all 0 at first.
///
/// Each is an atomic that its one writer loads and stores relaxed: the same two plain moves as an ordinary
/// variable, with no lock prefix, and a reader never sees half a number. A value of an address; the memory is its
/// owner's.
// Sendable: every cell is atomic; there is one writer, so load and store need not be one operation.
@safe struct SharedNumbers: @unchecked Sendable {
    private let cells: UnsafeMutablePointer<Atomic<UInt64>>
    let count: Int

    init(count: Int, in memory: LineMemory) {
        unsafe cells = unsafe memory.takeAtomics(count)
        self.count = count
    }

    /// Sets a run of numbers to 0.
    @inline(__always)
    func clear(_ range: Range<Int>) {
        precondition(range.lowerBound >= 0 && range.upperBound <= count, "numbers \(range) of \(count)")
        for index in range { unsafe cells[index].store(0, ordering: .relaxed) }
    }

    @inline(__always)
    subscript(index: Int) -> UInt64 {
        get {
            precondition(index >= 0 && index < count, "number \(index) of \(count)")
            return unsafe cells[index].load(ordering: .relaxed)
        }
        nonmutating set {
            precondition(index >= 0 && index < count, "number \(index) of \(count)")
            unsafe cells[index].store(newValue, ordering: .relaxed)
        }
    }
}
