// SPDX-License-Identifier: Apache-2.0

extension CPUSet: CustomStringConvertible {
    /// Reads the list format: numbers and ranges, separated by commas.
    ///
    /// | text | CPUs | who writes it so |
    /// |---|---|---|
    /// | `0-3,8` | 0 1 2 3 8 | cpuset(7), `/sys`, taskset(1) |
    /// | `0-9/3` or `0-9:3` | 0 3 6 9 | a stride: every third; taskset(1) |
    /// | `0-9:2/4` | 0 1 4 5 8 9 | the first 2 of each group of 4; bitmap_parselist of the kernel |
    ///
    /// Spaces and newlines around the text and around its commas are ignored; empty text is the empty set
    /// (a NUMA node without CPUs has such a `cpulist`); ranges may overlap.
    ///
    /// - Throws: `CPUSetError` with the byte offset and what is allowed there. The text is from a user or a file,
    ///   so nothing in it traps.
    public init(parsing text: String) throws(CPUSetError) {
        self.init()
        var parser = CPUListParser(text)
        try parser.parse(into: &self)
    }

    /// Reads the mask format of `/proc/*/status` and of `/sys/**/shared_cpu_map`.
    ///
    /// Groups of up to 8 hexadecimal digits (32 CPUs), most significant first, separated by commas:
    /// "ffffffff,00000003" is CPUs 0, 1 and 32 to 63. Empty text is the empty set.
    ///
    /// - Throws: `CPUSetError` with the byte offset and what is allowed there.
    public init(parsingMask text: String) throws(CPUSetError) {
        self.init()
        let bytes = Array(text.utf8)
        let start = bytes.firstIndex { !isBlank($0) } ?? bytes.count
        let end = (bytes.lastIndex { !isBlank($0) } ?? start - 1) + 1
        guard start < end else { return }
        var bit = 0
        var digitsInGroup = 0
        for offset in (start..<end).reversed() {
            if bytes[offset] == UInt8(ascii: ","), digitsInGroup > 0, offset > start {
                bit += (8 - digitsInGroup) * 4
                digitsInGroup = 0
                continue
            }
            guard let digit = hexadecimalValue(bytes[offset]), digitsInGroup < 8 else {
                throw CPUSetError(text: text, byteOffset: offset, expectation: .maskDigits)
            }
            for shift in 0..<4 where digit & (1 << shift) != 0 {
                guard bit + shift < CPUSet.idLimit else {
                    throw CPUSetError(text: text, byteOffset: offset, expectation: .smallerNumber)
                }
                insert(bit + shift)
            }
            bit += 4
            digitsInGroup += 1
        }
    }

    /// The list format of cpuset(7), shortest form without strides: "0-3,8,10-11"; empty for the empty set.
    public var listText: String {
        rangeTexts.joined(separator: ",")
    }

    /// The mask format of `/proc/*/status`: groups of 8 digits from the highest member down; "00000000" when empty.
    public var maskText: String {
        let groupCount = (last ?? 0) / 32 + 1
        return (0..<groupCount).reversed().map { group in
            var value: UInt32 = 0
            for bit in 0..<32 where contains(group * 32 + bit) { value |= 1 << UInt32(bit) }
            let digits = String(value, radix: 16)
            return String(repeating: "0", count: 8 - digits.count) + digits
        }.joined(separator: ",")
    }

    /// `listText`, or "none" for the empty set, because an empty word in a sentence helps nobody.
    public var description: String { isEmpty ? "none" : listText }

    /// The members as closed ranges of neighbours, ascending; empty for the empty set.
    public var ranges: [ClosedRange<Int>] {
        var result: [ClosedRange<Int>] = []
        for id in self {
            if let open = result.last, open.upperBound == id - 1 {
                result[result.count - 1] = open.lowerBound...id
            } else {
                result.append(id...id)
            }
        }
        return result
    }

    private var rangeTexts: [String] {
        ranges.map { $0.count == 1 ? "\($0.lowerBound)" : "\($0.lowerBound)-\($0.upperBound)" }
    }
}

/// Walks over list text once; keeps the position for the error.
private struct CPUListParser {
    let text: String
    let bytes: [UInt8]
    var position = 0

    init(_ text: String) {
        self.text = text
        bytes = Array(text.utf8)
    }

    mutating func parse(into set: inout CPUSet) throws(CPUSetError) {
        skipBlanks()
        if position == bytes.count { return }
        while true {
            try parseRange(into: &set)
            skipBlanks()
            if position == bytes.count { return }
            guard accept(",") else { throw error(.commaOrEnd) }
            skipBlanks()
        }
    }

    private mutating func parseRange(into set: inout CPUSet) throws(CPUSetError) {
        let first = try parseNumber(below: CPUSet.idLimit)
        guard accept("-") else {
            set.insert(first)
            return
        }
        let lastOffset = position
        let last = try parseNumber(below: CPUSet.idLimit)
        guard last >= first else { throw error(.ascendingRange, at: lastOffset) }
        let (used, groupSize) = try parseStride()
        for id in first...last where (id - first) % groupSize < used {
            set.insert(id)
        }
    }

    /// How many leading ids of each group count, and the group's size; (1, 1) without a stride takes all.
    private mutating func parseStride() throws(CPUSetError) -> (used: Int, groupSize: Int) {
        if accept("/") { return (1, try parsePositive()) }
        guard accept(":") else { return (1, 1) }
        let usedOffset = position
        let used = try parsePositive()
        guard accept("/") else { return (1, used) }
        let groupSize = try parsePositive()
        guard used <= groupSize else { throw error(.usedWithinGroup, at: usedOffset) }
        return (used, groupSize)
    }

    private mutating func parsePositive() throws(CPUSetError) -> Int {
        let offset = position
        let number = try parseNumber(below: CPUSet.idLimit)
        guard number > 0 else { throw error(.positiveStride, at: offset) }
        return number
    }

    private mutating func parseNumber(below limit: Int) throws(CPUSetError) -> Int {
        let start = position
        var number = 0
        while position < bytes.count, bytes[position] >= 0x30, bytes[position] <= 0x39 {
            number = number * 10 + Int(bytes[position] - 0x30)
            guard number < limit else { throw error(.smallerNumber, at: start) }
            position += 1
        }
        guard position > start else { throw error(.number) }
        return number
    }

    private mutating func accept(_ character: Unicode.Scalar) -> Bool {
        guard position < bytes.count, bytes[position] == UInt8(ascii: character) else { return false }
        position += 1
        return true
    }

    private mutating func skipBlanks() {
        while position < bytes.count, isBlank(bytes[position]) { position += 1 }
    }

    private func error(_ expectation: CPUSetError.Expectation, at offset: Int? = nil) -> CPUSetError {
        CPUSetError(text: text, byteOffset: offset ?? position, expectation: expectation)
    }
}

private func isBlank(_ byte: UInt8) -> Bool {
    byte == 0x20 || (0x09...0x0D).contains(byte)
}

private func hexadecimalValue(_ byte: UInt8) -> Int? {
    switch byte {
    case 0x30...0x39: Int(byte) - 0x30
    case 0x41...0x46: Int(byte) - 0x37
    case 0x61...0x66: Int(byte) - 0x57
    default: nil
    }
}
