// SPDX-License-Identifier: Apache-2.0

internal import Synchronization

/// Counts durations in classes of a power of two each, divided in four: within 25 % of the truth.
// Sendable: every cell is atomic, with one writer.
@safe package final class LogHistogram: @unchecked Sendable {
    private static let cellCount = 64 * 4
    private let cells: UnsafeMutablePointer<Atomic<UInt64>>
    private let largest = Atomic<UInt64>(0)
    private let sum = Atomic<UInt64>(0)

    package init() {
        unsafe cells = .allocate(capacity: LogHistogram.cellCount)
        for index in 0..<LogHistogram.cellCount { unsafe (cells + index).initialize(to: Atomic(0)) }
    }

    deinit { unsafe cells.deallocate() }

    @inline(__always)
    func add(_ value: UInt64) {
        let cell = unsafe cells + LogHistogram.index(of: value)
        unsafe cell.pointee.store(cell.pointee.load(ordering: .relaxed) &+ 1, ordering: .relaxed)
        sum.store(sum.load(ordering: .relaxed) &+ value, ordering: .relaxed)
        if value > largest.load(ordering: .relaxed) { largest.store(value, ordering: .relaxed) }
    }

    /// The largest value so far, exactly.
    var maximum: UInt64 { largest.load(ordering: .relaxed) }

    /// The sum of all values so far.
    var total: UInt64 { sum.load(ordering: .relaxed) }

    /// The class of a value: its highest bit, and the two bits behind that.
    @inline(__always)
    static func index(of value: UInt64) -> Int {
        guard value >= 4 else { return Int(value) }
        let exponent = 63 - value.leadingZeroBitCount
        return (exponent - 1) * 4 + Int(value >> UInt64(exponent - 2)) & 3
    }

    /// The least value of a class.
    static func lowerBound(of index: Int) -> UInt64 {
        guard index >= 4 else { return UInt64(index) }
        let exponent = index / 4 + 1
        return UInt64(4 + index % 4) << UInt64(exponent - 2)
    }

    /// The counts by class.
    package var counts: [UInt64] {
        (0..<LogHistogram.cellCount).map { unsafe cells[$0].load(ordering: .relaxed) }
    }
}
