// SPDX-License-Identifier: Apache-2.0

/// What people write to name registered things: `tcp:port=80`, `proxy:tcp:80`, `unix:/run/x.sock:mode=660`.
///
/// Parts follow each other, the outermost first, each a name and its arguments: `name:value:key=value:key=value`. A
/// field without `=` that could be a name (a small letter, then small letters, digits and dashes) begins a part; any
/// other is an argument without a key, as is what stands behind a leading `=`: `unix:=sock`. A backslash takes the
/// character after it for what it is, as the colons of `interface=\:\:1`.
public struct PluginText: Sendable, Equatable, CustomStringConvertible {
    /// A name and its arguments.
    public struct Part: Sendable, Equatable {
        /// As it was registered.
        public var name: String
        /// In the order in which they were written; each key once, but for the empty key of those without any.
        public var arguments: [(key: String, value: String)]

        /// A part with arguments.
        public init(_ name: String, _ arguments: [(key: String, value: String)] = []) {
            self.name = name
            self.arguments = arguments
        }

        /// Equal when both would be written alike.
        public static func == (left: Part, right: Part) -> Bool {
            left.name == right.name && left.arguments.elementsEqual(right.arguments, by: ==)
        }
    }

    /// At least one.
    public var parts: [Part]

    /// A text of these parts, of which there has to be one.
    public init(_ parts: [Part]) {
        precondition(!parts.isEmpty, "a text without a name")
        self.parts = parts
    }

    /// Takes the text apart. Whether the names exist is for a `PluginRegistry` to say.
    ///
    /// - Throws: `PluginError`: an empty text or name, a key twice, an argument before any name, a lone backslash.
    public init(parsing text: String) throws(PluginError) {
        func refuse(_ why: String) -> PluginError { PluginError("'\(text)': \(why)") }
        parts = []
        for field in try PluginText.fields(text) {
            guard !field.name.isEmpty || field.value != nil else { throw refuse("a name is missing") }
            let last = parts.count - 1
            switch field.value {
            case nil where PluginText.isName(field.name): parts.append(Part(field.name))
            case let value:
                guard last >= 0 else {
                    throw refuse("it has to begin with a name, as tcp:\(field.name)\(value.map { "=" + $0 } ?? "")")
                }
                guard let value, !field.name.isEmpty else {
                    parts[last].arguments.append(("", value ?? field.name))
                    continue
                }
                guard !parts[last].arguments.contains(where: { $0.key == field.name }) else {
                    throw refuse("'\(field.name)' is there twice")
                }
                parts[last].arguments.append((field.name, value))
            }
        }
    }

    /// What stands between colons; a value when there is a `=`.
    private static func fields(_ text: String) throws(PluginError) -> [(name: String, value: String?)] {
        var fields: [(name: String, value: String?)] = [("", nil)]
        var isEscaped = false
        // By scalars: a combining mark makes one character of a colon and itself.
        for character in text.unicodeScalars {
            let last = fields.count - 1
            if !isEscaped {
                switch character {
                case "\\":
                    isEscaped = true
                    continue
                case ":":
                    fields.append(("", nil))
                    continue
                case "=" where fields[last].value == nil:
                    fields[last].value = ""
                    continue
                default: break
                }
            }
            isEscaped = false
            if fields[last].value == nil {
                fields[last].name.unicodeScalars.append(character)
            } else {
                fields[last].value?.unicodeScalars.append(character)
            }
        }
        guard !isEscaped else { throw PluginError("'\(text)': nothing follows the last backslash") }
        return fields
    }

    /// The text; parsed again it is the same.
    public var description: String {
        parts.map { part in
            ([PluginText.escaped(part.name, "\\:=")] + part.arguments.map(PluginText.field)).joined(separator: ":")
        }.joined(separator: ":")
    }

    private static func field(_ key: String, _ value: String) -> String {
        if key.isEmpty, !value.isEmpty, !isName(value) { return escaped(value, "\\:=") }
        return "\(escaped(key, "\\:="))=\(escaped(value, "\\:"))"
    }

    /// A small letter, then small letters, digits and dashes.
    static func isName(_ text: String) -> Bool {
        guard let first = text.utf8.first, (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(first) else { return false }
        return text.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"): true
            default: false
            }
        }
    }

    private static func escaped(_ text: String, _ special: String) -> String {
        text.unicodeScalars.map { special.unicodeScalars.contains($0) ? "\\\($0)" : String($0) }.joined()
    }
}

/// Why a name or a text is refused, one sentence that says what to do.
public struct PluginError: Error, Equatable, CustomStringConvertible {
    /// The sentence.
    public let description: String

    /// For the arguments of your own plugin, too.
    public init(_ description: String) { self.description = description }
}
