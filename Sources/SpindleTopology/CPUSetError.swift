// SPDX-License-Identifier: Apache-2.0

/// Why text is not a set of CPUs, where, and what would be allowed there.
///
/// `description` is a sentence for the command line: it quotes what was given and shows an example.
public struct CPUSetError: Error, Sendable, Equatable, CustomStringConvertible {
    /// What the parser would have accepted at `byteOffset`.
    public enum Expectation: Sendable, Equatable {
        /// A CPU number in decimal digits.
        case number
        /// A number below `CPUSet.idLimit`.
        case smallerNumber
        /// A comma before the next CPU, or the end of the text.
        case commaOrEnd
        /// A range whose end is not below its start.
        case ascendingRange
        /// A stride or group of at least 1.
        case positiveStride
        /// In "a-b:used/group", `used` at most `group`.
        case usedWithinGroup
        /// Groups of 1 to 8 hexadecimal digits, separated by commas (mask format).
        case maskDigits
    }

    /// The text as it was given.
    public let text: String
    /// Where in the UTF-8 bytes of `text` the problem starts; equal to the byte count when the text ends too early.
    public let byteOffset: Int
    /// What is allowed there.
    public let expectation: Expectation

    /// An error at a place of a text; made by the parsers.
    public init(text: String, byteOffset: Int, expectation: Expectation) {
        self.text = text
        self.byteOffset = byteOffset
        self.expectation = expectation
    }

    /// One line, e.g. "CPU list '0-3,x': at position 5 stands 'x', expected a CPU number (as in 0-3,8,10-14/2)".
    public var description: String {
        let form = expectation == .maskDigits ? "CPU mask" : "CPU list"
        let example = expectation == .maskDigits ? "ffffffff,00000003" : "0-3,8,10-14/2"
        return "\(form) '\(printable(text))': at position \(byteOffset + 1) \(found), expected \(expected) "
            + "(as in \(example))"
    }

    private var found: String {
        let rest = Array(text.utf8.dropFirst(byteOffset))
        guard let byte = rest.first else { return "the text ends" }
        let digits = rest.prefix { $0 >= 0x30 && $0 <= 0x39 }
        let word = digits.isEmpty ? [byte] : Array(digits)
        return "stands '\(printable(String(decoding: word, as: UTF8.self), maximumLength: 20))'"
    }

    private var expected: String {
        switch expectation {
        case .number: "a CPU number"
        case .smallerNumber: "a number from 0 to \(CPUSet.idLimit - 1)"
        case .commaOrEnd: "a comma or the end"
        case .ascendingRange: "a range end that is not below its start"
        case .positiveStride: "a stride of at least 1"
        case .usedWithinGroup: "a count that is not above the group size"
        case .maskDigits: "groups of 1 to 8 hexadecimal digits"
        }
    }
}
