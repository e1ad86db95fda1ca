// SPDX-License-Identifier: Apache-2.0

/// Counts durations in classes of a power of two each, divided in four: within 25 % of the truth. One writer.
package struct LogHistogram: Sendable {
    private static let classCount = 64 * 4
    /// The classes; behind them the largest value and the sum.
    private let numbers: SharedNumbers
    private static let largest = classCount
    private static let sum = classCount + 1

    init(in memory: LineMemory) { numbers = SharedNumbers(count: LogHistogram.classCount + 2, in: memory) }

    @inline(__always)
    func add(_ value: UInt64) {
        numbers[LogHistogram.index(of: value)] &+= 1
        numbers[LogHistogram.sum] &+= value
        if value > numbers[LogHistogram.largest] { numbers[LogHistogram.largest] = value }
    }

    /// The largest value so far, exactly.
    var maximum: UInt64 { numbers[LogHistogram.largest] }

    /// The sum of all values so far.
    var total: UInt64 { numbers[LogHistogram.sum] }

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
    package var counts: [UInt64] { (0..<LogHistogram.classCount).map { numbers[$0] } }
}
