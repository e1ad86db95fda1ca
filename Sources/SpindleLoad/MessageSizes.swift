// SPDX-License-Identifier: Apache-2.0

/// How large the messages of a load are.
public enum MessageSizes: Sendable, Equatable {
    /// All alike.
    case constant(Int)
    /// Every size of the range as often as any other.
    case uniform(ClosedRange<Int>)
    /// These sizes, each as often as its weight says; weights above 0.
    case weighted([Weighted])

    /// A size and how often it comes.
    public struct Weighted: Sendable, Equatable {
        /// Bytes, at least 1.
        public let bytes: Int
        /// Compared with the sum of all.
        public let weight: Double

        /// Nothing is checked.
        public init(bytes: Int, weight: Double) {
            self.bytes = bytes
            self.weight = weight
        }
    }

    /// How many sizes are drawn; then they come again. A prime, so that connections that take turns don't share sizes.
    static let drawnCount = 16_381

    /// The sizes of a connection's messages, in the order in which they come: the same in every run.
    func drawn() -> [Int] {
        var random = Xorshift()
        switch self {
        case .constant(let bytes): return [bytes]
        case .uniform(let range):
            return (0..<MessageSizes.drawnCount).map { _ in
                range.lowerBound + Int(random.next() % UInt64(range.count))
            }
        case .weighted(let sizes):
            let total = sizes.reduce(0) { $0 + $1.weight }
            // Each as often as its weight says, and at least once; then shuffled (Fisher and Yates).
            var drawn = sizes.flatMap { size in
                let share = size.weight / total * Double(MessageSizes.drawnCount)
                return Array(repeating: size.bytes, count: max(1, Int(share.rounded())))
            }
            for index in drawn.indices.dropFirst().reversed() {
                drawn.swapAt(index, Int(random.next() % UInt64(index + 1)))
            }
            return drawn
        }
    }

    /// The most bytes of a message.
    public var largest: Int {
        switch self {
        case .constant(let bytes): bytes
        case .uniform(let range): range.upperBound
        case .weighted(let sizes): sizes.map(\.bytes).max() ?? 0
        }
    }

    /// The least bytes of a message.
    public var smallest: Int {
        switch self {
        case .constant(let bytes): bytes
        case .uniform(let range): range.lowerBound
        case .weighted(let sizes): sizes.map(\.bytes).min() ?? 0
        }
    }

    /// Bytes of a message on average, of those that are drawn.
    public var mean: Double {
        let sizes = drawn()
        return Double(sizes.reduce(0, +)) / Double(sizes.count)
    }
}

/// xorshift64 (Marsaglia, 2003): any sequence without short repetitions will do here.
struct Xorshift {
    private var state: UInt64 = 0x9e37_79b9_7f4a_7c15

    mutating func next() -> UInt64 {
        state ^= state << 13
        state ^= state >> 7
        state ^= state << 17
        return state
    }
}
