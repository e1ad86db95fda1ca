// SPDX-License-Identifier: Apache-2.0

/// A JSON value that keeps the order of its members, and its text.
///
/// For output only, and without Foundation: the commands' `--json`. A pure value.
public enum JSONValue: Sendable, Equatable {
    /// One name and value of an object.
    public struct Member: Sendable, Equatable {
        /// The name, in lowerCamelCase with the unit in it ("memoryBytes").
        public let name: String
        /// The value.
        public let value: JSONValue

        /// A member of an object.
        public init(_ name: String, _ value: JSONValue) {
            self.name = name
            self.value = value
        }
    }

    /// `null`: known to be unknown.
    case null
    /// `true` or `false`.
    case bool(Bool)
    /// A whole number. Above 2^53 some readers lose digits.
    case integer(Int)
    /// A number; infinities and NaN have no JSON form and are written as `null`.
    case number(Double)
    /// Text.
    case string(String)
    /// A list.
    case array([JSONValue])
    /// Members in the order given. Names should differ; that is not checked.
    case object([Member])

    /// The text of RFC 8259 without line breaks.
    public var compactText: String {
        var text = ""
        write(into: &text, indent: nil)
        return text
    }

    /// The text of RFC 8259, two spaces per level, without a newline at the end; arrays of plain values on one line.
    public var indentedText: String {
        var text = ""
        write(into: &text, indent: 0)
        return text
    }

    private var isPlain: Bool {
        switch self {
        case .array, .object: false
        default: true
        }
    }

    private func write(into text: inout String, indent: Int?) {
        switch self {
        case .null: text += "null"
        case .bool(let value): text += value ? "true" : "false"
        case .integer(let value): text += String(value)
        case .number(let value): text += value.isFinite ? "\(value)" : "null"
        case .string(let value): JSONValue.writeQuoted(value, into: &text)
        case .array(let values):
            let inner = values.allSatisfy(\.isPlain) ? nil : indent
            JSONValue.writeList(values, "[", "]", into: &text, indent: inner, isSpaced: indent != nil) {
                $0.write(into: &$1, indent: $2)
            }
        case .object(let members):
            JSONValue.writeList(members, "{", "}", into: &text, indent: indent, isSpaced: indent != nil) {
                JSONValue.writeQuoted($0.name, into: &$1)
                $1 += indent == nil ? ":" : ": "
                $0.value.write(into: &$1, indent: $2)
            }
        }
    }

    private static func writeList<Element>(
        _ elements: [Element],
        _ open: String,
        _ close: String,
        into text: inout String,
        indent: Int?,
        isSpaced: Bool,
        _ writeElement: (Element, inout String, Int?) -> Void
    ) {
        text += open
        for (index, element) in elements.enumerated() {
            if index > 0 { text += indent == nil && isSpaced ? ", " : "," }
            if let indent { text += "\n" + String(repeating: " ", count: indent + 2) }
            writeElement(element, &text, indent.map { $0 + 2 })
        }
        if let indent, !elements.isEmpty { text += "\n" + String(repeating: " ", count: indent) }
        text += close
    }

    private static func writeQuoted(_ string: String, into text: inout String) {
        text += "\""
        for scalar in string.unicodeScalars {
            switch scalar {
            case "\"": text += "\\\""
            case "\\": text += "\\\\"
            case "\n": text += "\\n"
            case "\t": text += "\\t"
            case "\r": text += "\\r"
            case _ where scalar.value < 0x20 || scalar.value == 0x7F:
                let digits = String(scalar.value, radix: 16)
                text += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: text.unicodeScalars.append(scalar)
            }
        }
        text += "\""
    }
}

extension JSONValue: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByBooleanLiteral,
    ExpressibleByArrayLiteral
{
    /// A string.
    public init(stringLiteral value: String) { self = .string(value) }
    /// A whole number.
    public init(integerLiteral value: Int) { self = .integer(value) }
    /// A truth value.
    public init(booleanLiteral value: Bool) { self = .bool(value) }
    /// A list.
    public init(arrayLiteral elements: JSONValue...) { self = .array(elements) }
}

extension JSONValue {
    /// A whole number, or `null` for nil.
    public static func integer(_ value: Int?) -> JSONValue { value.map { .integer($0) } ?? .null }

    /// A number, or `null` for nil.
    public static func number(_ value: Double?) -> JSONValue { value.map { .number($0) } ?? .null }

    /// Text, or `null` for nil.
    public static func string(_ value: String?) -> JSONValue { value.map { .string($0) } ?? .null }

    /// A list of whole numbers.
    public static func integers(_ values: some Sequence<Int>) -> JSONValue { .array(values.map { .integer($0) }) }

    /// A list of texts.
    public static func strings(_ values: some Sequence<String>) -> JSONValue { .array(values.map { .string($0) }) }
}
