// SPDX-License-Identifier: Apache-2.0

/// One thing that can be set about an engine, as people and programs know it.
///
/// The table of these, `EngineOption.all`, is the only place that names options: flags, environment variables,
/// `--print-config` and `--help` are made from it.
public struct EngineOption: Sendable {
    /// The flag without its dashes: `read-budget`.
    public let name: String
    /// What stands for the value in help; nil for a flag without one.
    public let placeholder: String?
    /// What values are allowed.
    public let allowed: String
    /// What it does, one sentence.
    public let summary: String
    /// What more and less of it cost.
    public let tradeOff: String
    /// Shown by `--help`, not only by `--help-all`.
    public let isCommon: Bool
    let parse: @Sendable (String, inout EngineConfiguration) -> Bool
    let print: @Sendable (EngineConfiguration) -> String

    /// The environment variable: `SPINDLE_READ_BUDGET`.
    public var environmentName: String { EngineOption.environmentName(of: name) }

    /// The variable that sets what has this name.
    package static func environmentName(of name: String) -> String {
        "SPINDLE_" + String(name.uppercased().map { $0 == "-" ? "_" : $0 })
    }

    /// Sets the option to what `text` says; "true" for a flag without a value.
    ///
    /// - Throws: `OptionError`, with what was given and what is allowed.
    public func set(_ text: String, in configuration: inout EngineConfiguration) throws(OptionError) {
        guard parse(text, &configuration) else { throw OptionError(option: name, given: text, allowed: allowed) }
    }

    /// The option's value, as `set` reads it.
    public func value(in configuration: EngineConfiguration) -> String { print(configuration) }

    /// The option with that name.
    public static func named(_ name: String) -> EngineOption? { all.first { $0.name == name } }
}

/// An option's value that is not allowed.
public struct OptionError: Error, Equatable, CustomStringConvertible {
    /// The option's name.
    public let option: String
    /// What was given.
    public let given: String
    /// What is allowed.
    public let allowed: String

    /// One sentence.
    public var description: String { "--\(option): '\(given)' is not allowed; allowed is \(allowed)" }
}

// MARK: Kinds of values

extension EngineOption {
    /// A count or size in a range.
    static func integer(
        _ name: String,
        _ path: any WritableKeyPath<EngineConfiguration, Int> & Sendable,
        in range: ClosedRange<Int>,
        unlimited: String? = nil,
        summary: String,
        tradeOff: String,
        isCommon: Bool = false
    ) -> EngineOption {
        let words = unlimited.map { " or \($0)" } ?? ""
        return EngineOption(
            name: name,
            placeholder: "N",
            allowed: "a whole number from \(range.lowerBound) to \(range.upperBound)\(words)",
            summary: summary,
            tradeOff: tradeOff,
            isCommon: isCommon,
            parse: { text, configuration in
                if let unlimited, text == unlimited {
                    configuration[keyPath: path] = .max
                    return true
                }
                guard let value = Int(text), range.contains(value) else { return false }
                configuration[keyPath: path] = value
                return true
            },
            print: { $0[keyPath: path] == .max ? unlimited ?? "\(Int.max)" : "\($0[keyPath: path])" }
        )
    }

    /// A size in bytes with a unit.
    static func size(
        _ name: String,
        _ path: any WritableKeyPath<EngineConfiguration, Int> & Sendable,
        in range: ClosedRange<Int>,
        unlimited: String? = nil,
        summary: String,
        tradeOff: String,
        isCommon: Bool = false
    ) -> EngineOption {
        EngineOption(
            name: name,
            placeholder: "SIZE",
            allowed: (unlimited.map { "\($0), or " } ?? "")
                + "a size from \(ByteSize.text(range.lowerBound)) to \(ByteSize.text(range.upperBound)), "
                + "as 512, 64KiB, 1MiB",
            summary: summary,
            tradeOff: tradeOff,
            isCommon: isCommon,
            parse: { text, configuration in
                if let unlimited, text == unlimited {
                    configuration[keyPath: path] = .max
                    return true
                }
                guard let value = ByteSize.parse(text), range.contains(value) else { return false }
                configuration[keyPath: path] = value
                return true
            },
            print: { configuration in
                let value = configuration[keyPath: path]
                return if let unlimited, value == .max { unlimited } else { ByteSize.text(value) }
            }
        )
    }

    /// A duration with a unit; `never` where the option may be off.
    static func duration(
        _ name: String,
        _ path: any WritableKeyPath<EngineConfiguration, Duration> & Sendable,
        in range: ClosedRange<Duration>,
        summary: String,
        tradeOff: String,
        isCommon: Bool = false
    ) -> EngineOption {
        EngineOption(
            name: name,
            placeholder: "TIME",
            allowed:
                "a time from \(TimeText.text(range.lowerBound)) to \(TimeText.text(range.upperBound)), "
                + "as 50us, 10ms, 2s",
            summary: summary,
            tradeOff: tradeOff,
            isCommon: isCommon,
            parse: { text, configuration in
                guard let value = TimeText.parse(text), range.contains(value) else { return false }
                configuration[keyPath: path] = value
                return true
            },
            print: { TimeText.text($0[keyPath: path]) }
        )
    }

    static func optionalDuration(
        _ name: String,
        _ path: any WritableKeyPath<EngineConfiguration, Duration?> & Sendable,
        in range: ClosedRange<Duration>,
        summary: String,
        tradeOff: String
    ) -> EngineOption {
        EngineOption(
            name: name,
            placeholder: "TIME",
            allowed:
                "never, or a time from \(TimeText.text(range.lowerBound)) to \(TimeText.text(range.upperBound)), "
                + "as 50ms, 30s",
            summary: summary,
            tradeOff: tradeOff,
            isCommon: false,
            parse: { text, configuration in
                if text == "never" {
                    configuration[keyPath: path] = nil
                    return true
                }
                guard let value = TimeText.parse(text), range.contains(value) else { return false }
                configuration[keyPath: path] = value
                return true
            },
            print: { $0[keyPath: path].map(TimeText.text) ?? "never" }
        )
    }

    /// A flag that is there or not.
    static func flag(
        _ name: String,
        _ path: any WritableKeyPath<EngineConfiguration, Bool> & Sendable,
        whenSet: Bool = true,
        summary: String,
        tradeOff: String
    ) -> EngineOption {
        EngineOption(
            name: name,
            placeholder: nil,
            allowed: "true or false",
            summary: summary,
            tradeOff: tradeOff,
            isCommon: false,
            parse: { text, configuration in
                guard let value = Bool(text) else { return false }
                configuration[keyPath: path] = value == whenSet
                return true
            },
            print: { "\($0[keyPath: path] == whenSet)" }
        )
    }

    /// A name or number of a user or group, or `none`.
    static func account(
        _ name: String,
        _ path: any WritableKeyPath<EngineConfiguration, String?> & Sendable,
        summary: String,
        tradeOff: String
    ) -> EngineOption {
        EngineOption(
            name: name,
            placeholder: "NAME",
            allowed: "none, or the name or number of a \(name)",
            summary: summary,
            tradeOff: tradeOff,
            isCommon: false,
            parse: { text, configuration in
                let isName = text.utf8.allSatisfy { byte in
                    switch byte {
                    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"),
                        UInt8(ascii: "-"), UInt8(ascii: "@"), UInt8(ascii: "$"):
                        true
                    default: false
                    }
                }
                guard isName, !text.isEmpty else { return false }
                configuration[keyPath: path] = text == "none" ? nil : text
                return true
            },
            print: { $0[keyPath: path] ?? "none" }
        )
    }

    /// One of a few words.
    static func choice<Value: RawRepresentable<String> & CaseIterable & Sendable>(
        _ name: String,
        _ path: any WritableKeyPath<EngineConfiguration, Value> & Sendable,
        summary: String,
        tradeOff: String,
        isCommon: Bool = false
    ) -> EngineOption {
        let words = Value.allCases.map(\.rawValue)
        return EngineOption(
            name: name,
            placeholder: words.joined(separator: "|"),
            allowed: words.joined(separator: ", "),
            summary: summary,
            tradeOff: tradeOff,
            isCommon: isCommon,
            parse: { text, configuration in
                guard let value = Value(rawValue: text) else { return false }
                configuration[keyPath: path] = value
                return true
            },
            print: { $0[keyPath: path].rawValue }
        )
    }
}

/// Sizes in bytes as people write them.
public enum ByteSize {
    private static let units: [(name: String, bytes: Int)] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)]

    /// The bytes that `512`, `64KiB`, `1MiB` or `2GiB` mean (also `64k`, `1M`, `2G`, powers of 1024); nil otherwise.
    public static func parse(_ text: String) -> Int? {
        let digits = text.prefix { $0.isASCII && $0.isNumber }
        guard let number = Int(digits) else { return nil }
        let factor: Int
        switch text.dropFirst(digits.count).lowercased() {
        case "", "b": factor = 1
        case "k", "kib", "kb": factor = 1 << 10
        case "m", "mib", "mb": factor = 1 << 20
        case "g", "gib", "gb": factor = 1 << 30
        default: return nil
        }
        let (product, overflow) = number.multipliedReportingOverflow(by: factor)
        return overflow ? nil : product
    }

    /// The shortest exact form: `64KiB`.
    public static func text(_ bytes: Int) -> String {
        for unit in units where bytes >= unit.bytes && bytes % unit.bytes == 0 {
            return "\(bytes / unit.bytes)\(unit.name)"
        }
        return "\(bytes)"
    }
}

/// Durations as people write them.
public enum TimeText {
    private static let units: [(name: String, nanoseconds: Int64)] = [
        ("h", 3_600_000_000_000), ("m", 60_000_000_000), ("s", 1_000_000_000), ("ms", 1_000_000), ("us", 1000),
        ("ns", 1),
    ]

    /// The duration that `50us`, `10ms`, `1.5s`, `2m` or `1h` means, or `0`; nil otherwise.
    public static func parse(_ text: String) -> Duration? {
        if text == "0" { return .zero }
        let digits = text.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
        guard let number = Double(digits), let unit = units.first(where: { $0.name == text.dropFirst(digits.count) })
        else { return nil }
        let nanoseconds = (number * Double(unit.nanoseconds)).rounded()
        return nanoseconds < 9e18 ? .nanoseconds(Int64(nanoseconds)) : nil
    }

    /// The shortest exact form: `50us`.
    public static func text(_ duration: Duration) -> String {
        let nanoseconds = duration.components.seconds * 1_000_000_000 + duration.components.attoseconds / 1_000_000_000
        guard nanoseconds != 0 else { return "0" }
        for unit in units where nanoseconds % unit.nanoseconds == 0 {
            return "\(nanoseconds / unit.nanoseconds)\(unit.name)"
        }
        return "\(nanoseconds)ns"
    }
}
