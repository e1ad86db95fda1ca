// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Spindle

/// The flags of the table of options: what the argument parser does not know is looked up there.
struct EngineFlags: ParsableArguments {
    @Flag(help: "Show every engine flag, with its default and trade-off.")
    var helpAll = false

    @Flag(help: "Print the configuration that results, and do nothing else.")
    var printConfig = false

    @Argument(parsing: .allUnrecognized, help: .hidden)
    var engineFlags: [String] = []

    /// The configuration: defaults, then `SPINDLE_*` variables, then flags.
    func configuration(environment: [String: String]) throws -> EngineConfiguration {
        var configuration = EngineConfiguration()
        for option in EngineOption.all {
            guard let text = environment[option.environmentName] else { continue }
            do { try option.set(text, in: &configuration) } catch {
                throw ValidationError(
                    "\(option.environmentName): '\(text)' is not allowed; allowed is \(option.allowed)"
                )
            }
        }
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
            do { try option.set(text, in: &configuration) } catch { throw ValidationError("\(error)") }
        }
        do { try configuration.validate() } catch { throw ValidationError("\(error)") }
        return configuration
    }

    /// The names of the options that the user has set, to whatever.
    func given(environment: [String: String]) throws -> Set<String> {
        var names = Set(EngineOption.all.filter { environment[$0.environmentName] != nil }.map(\.name))
        for word in engineFlags where word.hasPrefix("--") { names.insert(try EngineFlags.option(word).option.name) }
        return names
    }

    /// The option that `--name` or `--name=value` names.
    private static func option(_ word: String) throws -> (option: EngineOption, value: String?) {
        guard word.hasPrefix("--") else {
            throw ValidationError("'\(word)' is no flag; see --help")
        }
        let parts = word.dropFirst(2).split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        guard let option = EngineOption.named(String(parts[0])) else {
            let near = EngineOption.all.map(\.name).filter { $0.contains(parts[0]) || parts[0].contains($0) }
            let hint =
                near.isEmpty ? "--help-all shows every flag" : "did you mean --\(near.joined(separator: ", --"))?"
            throw ValidationError("unknown flag --\(parts[0]); \(hint)")
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
        "Engine flags; each may also be set as SPINDLE_NAME.\n" + help(EngineOption.all, full: true)
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
    func answered(_ configuration: EngineConfiguration) -> Bool {
        if helpAll { Console.say(EngineFlags.fullHelp) }
        if printConfig {
            for option in EngineOption.all { Console.say("\(option.name) = \(option.value(in: configuration))") }
        }
        return helpAll || printConfig
    }
}
