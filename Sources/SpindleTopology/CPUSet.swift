// SPDX-License-Identifier: Apache-2.0

/// An ordered set of CPU ids of any machine size: the value behind `--cpuset`, affinity masks and cgroup cpusets.
///
/// Ids run from 0 to `CPUSet.idLimit - 1`, so machines with more than 64 (or 1,024) CPUs need no other type.
/// One bit per id up to the highest member; equality and hashing look at the members only. Iteration is ascending.
/// A pure value: usable from any thread.
///
/// Text forms: `CPUSet(parsing:)` and `listText` speak the list format of cpuset(7) ("0-3,8,10-14/2"),
/// `CPUSet(parsingMask:)` and `maskText` the mask format of `/proc/*/status` ("ffffffff,00000003").
public struct CPUSet: Sendable, Hashable {
    /// One more than the highest id a set can hold.
    ///
    /// The largest Linux kernels are built for 8,192 CPUs. The limit keeps a malformed "0-99999999999" from
    /// allocating gigabytes: such text is refused with `CPUSetError`.
    public static let idLimit = 65_536

    /// Bit `i % 64` of word `i / 64` is CPU `i`. The last word is never 0, so equal sets have equal arrays.
    private var words: [UInt64] = []

    /// The empty set.
    public init() {}

    /// The CPUs of a sequence, in any order, with or without repetitions.
    ///
    /// Traps when an id is outside `0 ..< CPUSet.idLimit`; text from users and files goes through `init(parsing:)`.
    public init(_ ids: some Sequence<Int>) {
        for id in ids { insert(id) }
    }

    /// How many CPUs are in the set.
    public var count: Int { words.reduce(0) { $0 + $1.nonzeroBitCount } }

    /// Whether no CPU is in the set.
    public var isEmpty: Bool { words.isEmpty }

    /// The lowest CPU id, or nil when the set is empty.
    public var first: Int? {
        guard let index = words.firstIndex(where: { $0 != 0 }) else { return nil }
        return index * 64 + words[index].trailingZeroBitCount
    }

    /// The highest CPU id, or nil when the set is empty.
    public var last: Int? {
        guard let word = words.last else { return nil }
        return words.count * 64 - 1 - word.leadingZeroBitCount
    }

    /// Whether a CPU is in the set; false for every id outside `0 ..< CPUSet.idLimit`.
    public func contains(_ id: Int) -> Bool {
        guard id >= 0, id / 64 < words.count else { return false }
        return words[id / 64] & (1 << UInt64(id % 64)) != 0
    }

    /// Adds a CPU; adding a member again changes nothing. Traps when `id` is outside `0 ..< CPUSet.idLimit`.
    public mutating func insert(_ id: Int) {
        precondition(id >= 0 && id < CPUSet.idLimit, "CPU id \(id) is outside 0 ..< \(CPUSet.idLimit)")
        while words.count <= id / 64 { words.append(0) }
        words[id / 64] |= 1 << UInt64(id % 64)
    }

    /// Removes a CPU; removing what is not a member changes nothing.
    public mutating func remove(_ id: Int) {
        guard contains(id) else { return }
        words[id / 64] &= ~(1 << UInt64(id % 64))
        dropEmptyWords()
    }

    /// The CPUs that are in this set, in `other`, or in both.
    public func union(_ other: CPUSet) -> CPUSet {
        combined(with: other, wordCount: Swift.max(words.count, other.words.count), |)
    }

    /// The CPUs that are in both sets.
    public func intersection(_ other: CPUSet) -> CPUSet {
        combined(with: other, wordCount: Swift.min(words.count, other.words.count), &)
    }

    /// The CPUs of this set that are not in `other`.
    public func subtracting(_ other: CPUSet) -> CPUSet {
        combined(with: other, wordCount: words.count) { $0 & ~$1 }
    }

    /// Whether every CPU of this set is in `other`; the empty set is a subset of every set.
    public func isSubset(of other: CPUSet) -> Bool {
        subtracting(other).isEmpty
    }

    /// Whether the sets have no CPU in common.
    public func isDisjoint(with other: CPUSet) -> Bool {
        intersection(other).isEmpty
    }

    private func combined(
        with other: CPUSet,
        wordCount: Int,
        _ operation: (UInt64, UInt64) -> UInt64
    ) -> CPUSet {
        var result = CPUSet()
        result.words = (0..<wordCount).map { index in
            operation(
                index < words.count ? words[index] : 0,
                index < other.words.count ? other.words[index] : 0
            )
        }
        result.dropEmptyWords()
        return result
    }

    private mutating func dropEmptyWords() {
        while words.last == 0 { words.removeLast() }
    }
}

extension CPUSet: Sequence {
    /// Goes through the members in ascending order.
    public struct Iterator: IteratorProtocol {
        private let words: [UInt64]
        private var index = 0
        private var remaining: UInt64

        fileprivate init(words: [UInt64]) {
            self.words = words
            remaining = words.first ?? 0
        }

        /// The next higher member, or nil after the last one.
        public mutating func next() -> Int? {
            while remaining == 0 {
                index += 1
                guard index < words.count else { return nil }
                remaining = words[index]
            }
            let bit = remaining.trailingZeroBitCount
            remaining &= remaining - 1
            return index * 64 + bit
        }
    }

    /// Starts at the lowest member.
    public func makeIterator() -> Iterator { Iterator(words: words) }

    /// The exact number of members, so that `Array(set)` allocates once.
    public var underestimatedCount: Int { count }
}

extension CPUSet: ExpressibleByArrayLiteral {
    /// The set of the listed CPUs: `[0, 1, 8]`. Traps when an id is outside `0 ..< CPUSet.idLimit`.
    public init(arrayLiteral ids: Int...) {
        self.init(ids)
    }
}
