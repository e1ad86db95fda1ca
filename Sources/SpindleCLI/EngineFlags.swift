// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Spindle
import SpindleTopology

/// The flags of the table of options: what the argument parser does not know is looked up there.
struct EngineFlags: ParsableArguments {
    @Flag(help: "Show every engine flag, with its default and trade-off.")
    var helpAll = false

    @Flag(help: "Print each value that results and where it comes from, as a file for --config, and do nothing else.")
    var printConfig = false

    @Option(
        help: ArgumentHelp(
            "Read options from this file of YAML or JSON, as `cores: 2`; flags and SPINDLE_* variables go before it.",
            valueName: "file"
        )
    )
    var config: String?

    @Argument(parsing: .allUnrecognized, help: .hidden)
    var engineFlags: [String] = []

    /// As they were given: for this command as another process.
    var asWords: [String] { engineFlags + (config.map { ["--config", $0] } ?? []) }

    /// Defaults, then the file, then `SPINDLE_*` variables, then flags.
    ///
    /// - Parameter others: Flags of the command that may also be set elsewhere, by name.
    func settings(
        environment: [String: String] = Environment.all,
        others: [String: [String]] = [:]
    ) async throws -> Settings {
        let flags = try words().merging(others) { $1 }
        do { return try await Settings(flags: flags, environment: environment, file: config) } catch {
            throw CommandFailure.report(error)
        }
    }

    /// The flags that the argument parser did not know, by name.
    private func words() throws -> [String: [String]] {
        var found: [String: [String]] = [:]
        var words = engineFlags[...]
        while let word = words.popFirst() {
            let (option, attached) = try EngineFlags.option(word)
            var text = attached
            if option.placeholder == nil {
                text = text ?? "true"
            } else if text == nil {
                text = words.popFirst()
            }
            guard let text else {
                throw ValidationError("--\(option.name) needs a value; allowed is \(option.allowed)")
            }
            if let before = found[option.name], before != [text] {
                throw ValidationError("--\(option.name) is there twice: \(before[0]) and \(text)")
            }
            found[option.name] = [text]
        }
        return found
    }

    /// The option that `--name` or `--name=value` names.
    private static func option(_ word: String) throws -> (option: EngineOption, value: String?) {
        guard word.hasPrefix("--") else {
            throw ValidationError("'\(word)' is no flag; see --help")
        }
        let parts = word.dropFirst(2).split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        guard let option = EngineOption.named(String(parts[0])) else {
            let hint = NearName.hint(String(parts[0]), among: EngineOption.all.map(\.name))
            throw ValidationError("unknown flag --\(parts[0])\(hint.isEmpty ? "; --help-all shows every flag" : hint)")
        }
        return (option, parts.count == 2 ? String(parts[1]) : nil)
    }

    /// The common flags, for the discussion of `--help`.
    static var commonHelp: String {
        "ENGINE FLAGS (the common ones; --help-all shows the rest):\n"
            + help(EngineOption.all.filter(\.isCommon), full: false)
    }

    /// Every flag.
    static var fullHelp: String {
        "Engine flags; each may also be set as SPINDLE_NAME, and by its name in the file of --config.\n"
            + help(EngineOption.all, full: true)
    }

    private static func help(_ options: [EngineOption], full: Bool) -> String {
        let defaults = EngineConfiguration()
        return options.map { option in
            let flag = "  --\(option.name)" + (option.placeholder.map { " \($0)" } ?? "")
            let gap =
                flag.count < 26
                ? String(repeating: " ", count: 26 - flag.count) : "\n" + String(repeating: " ", count: 26)
            let first = "\(flag)\(gap)\(option.summary) (default: \(option.value(in: defaults)))"
            guard full else { return first }
            let indent = "\n" + String(repeating: " ", count: 26)
            return first + "\(indent)\(option.tradeOff)\(indent)Allowed: \(option.allowed)."
        }.joined(separator: "\n")
    }

    /// Answers `--help-all` and `--print-config`.
    ///
    /// - Returns: True when that was all that was asked for.
    func answered(_ settings: Settings, with server: [ServerSetting] = [], json: Bool = false) -> Bool {
        if helpAll { Console.say(EngineFlags.fullHelp) }
        if printConfig {
            let listing = settings.listing(with: server)
            Console.say(json ? EngineFlags.json(listing).indentedText : EngineFlags.yaml(listing))
        }
        return helpAll || printConfig
    }

    private typealias Listing = [(name: String, values: [String], origin: String)]

    private static func yaml(_ listing: Listing) -> String {
        let lines = listing.map { name, values, origin in
            let texts = values.map(quoted)
            return ("\(name): " + (texts.count == 1 ? texts[0] : "[\(texts.joined(separator: ", "))]"), origin)
        }
        let width = lines.map(\.0.count).max() ?? 0
        return lines.map { line, origin in
            line + String(repeating: " ", count: width - line.count) + "  # \(origin)"
        }.joined(separator: "\n")
    }

    /// Plain where YAML takes it for text or a number, else as JSON, which is YAML.
    private static func quoted(_ text: String) -> String {
        let isPlain = text.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"):
                true
            default: false
            }
        }
        return isPlain && !text.isEmpty ? text : JSONValue.string(text).compactText
    }

    private static func json(_ listing: Listing) -> JSONValue {
        .object(
            listing.map { name, values, origin in
                let value: JSONValue = values.count == 1 ? .string(values[0]) : .strings(values)
                return .init(name, .object([.init("value", value), .init("origin", .string(origin))]))
            }
        )
    }
}
