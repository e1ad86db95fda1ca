// SPDX-License-Identifier: Apache-2.0

import Configuration
import Spindle
import SpindleService
import Testing

@Suite("Engine options by swift-configuration")
struct ConfigurationTests {
    private func file(
        _ text: String,
        _ options: OptionsFile.ParsingOptions = .init(path: "x.yaml")
    ) throws -> OptionsFile {
        let bytes = Array(text.utf8)
        return unsafe try OptionsFile(data: bytes.span.bytes, providerName: "file", parsingOptions: options)
    }

    private func complaint(_ text: String) -> String {
        do { return "accepted: \(try file(text))" } catch { return "\(error)" }
    }

    @Test("variables, text, numbers and truth values set options, the first provider that has one wins")
    func reader() throws {
        let values: [AbsoluteConfigKey: ConfigValue] = [
            "spindle.cores": 3, "spindle.backlog": 99, "spindle.no-smt": true, "spindle.idle-spin": "50us",
            "spindle.cpuset": .init(.stringArray(["0-3", "8"]), isSecret: false), "other": 1,
        ]
        let variables = EnvironmentVariablesProvider(environmentVariables: ["SPINDLE_BACKLOG": "17", "BACKLOG": "1"])
        let config = ConfigReader(providers: [variables, InMemoryProvider(values: values)])
        let engine = try EngineConfiguration(config: config.scoped(to: "spindle"))
        #expect(engine.placement.cores == .count(3))
        #expect(engine.backlog == 17)
        #expect(!engine.placement.allowSMT)
        #expect(engine.limits.idleSpin == .microseconds(50))
        #expect(engine.placement.cpuset?.listText == "0-3,8")
        #expect(engine.drainTimeout == EngineConfiguration().drainTimeout)
    }

    @Test(
        "a value that is not allowed, and options that contradict each other, are refused by name",
        arguments: [
            ["cores": "many"], ["backlog": "0"], ["write-low-watermark": "1GiB"], ["group": "staff"],
            ["no-smt": "perhaps"],
        ]
    )
    func refused(given: [String: String]) {
        let values = given.map { (AbsoluteConfigKey([$0]), ConfigValue(.string($1), isSecret: false)) }
        let config = ConfigReader(provider: InMemoryProvider(values: Dictionary(uniqueKeysWithValues: values)))
        let error = #expect(throws: OptionError.self) { try EngineConfiguration(config: config) }
        #expect(error.map(\.option) == given.keys.first)
    }

    @Test("every option can stand in a file, as it is printed", arguments: [false, true])
    func everyOption(isJSON: Bool) throws {
        let defaults = EngineConfiguration()
        let pairs = EngineOption.all.map { ($0.name, $0.value(in: defaults)) }
        let text =
            isJSON
            ? "{" + pairs.map { "\t\"\($0)\" : \"\($1)\"" }.joined(separator: ",\n") + "}"
            : pairs.map { "\($0): \($1)" }.joined(separator: "\n")
        let provider = try file(text)
        for (name, value) in pairs {
            let found = try provider.value(forKey: AbsoluteConfigKey([name]), type: .string)
            #expect(found.value?.content == .string(value), "\(name)")
        }
    }

    @Test("a file says in which line what it refuses stands")
    func refusals() {
        #expect(
            complaint("cores: 2\nraed-budget: 1")
                == "x.yaml:2: there is no option 'raed-budget'; did you mean 'read-budget'?"
        )
        #expect(complaint("cores: 2\n\ncores: 3").contains("duplicated key"))
        #expect(complaint("cores:") == "x.yaml:1: 'cores' has no value; leave it out")
        #expect(complaint("cores: {a: 1}") == "x.yaml:1: 'cores' has to be a value, or a list of values")
        #expect(complaint("cores: [[1]]") == "x.yaml:1: 'cores' has to be a value, or a list of values")
        #expect(complaint("- cores") == "x.yaml has to be a mapping of names to values")
        #expect(complaint("[1]: 2").contains("a name has to be text"))
        #expect(complaint("{\"cores\": ").contains("neither YAML nor JSON"))
        #expect(complaint("a: 1\n---\nb: 2").contains("neither YAML nor JSON"))
    }

    @Test("an empty file says nothing, and one that is not UTF-8 is refused")
    func emptyAndBroken() throws {
        for text in ["", "# nothing", "---", "{}", "null"] {
            #expect(try file(text).value(forKey: ["cores"], type: .string).value == nil)
        }
        let bytes: [UInt8] = [0xFF, 0xFE, 0x00]
        #expect(throws: OptionsFile.Refusal.self) {
            unsafe try OptionsFile(data: bytes.span.bytes, providerName: "file", parsingOptions: .default)
        }
    }

    @Test("below a scope options are checked, and beside it anything may stand")
    func scope() throws {
        let options = OptionsFile.ParsingOptions(path: "s.yaml", scope: ["server", "spindle"], otherNames: ["listen"])
        let text = "database: {host: db, ports: [1, 2]}\nserver:\n  name: x\n  spindle:\n    cores: 2\n    listen: a\n"
        let provider = try file(text, options)
        #expect(try provider.value(forKey: ["server", "spindle", "cores"], type: .int).value?.content == .int(2))
        #expect(try provider.value(forKey: ["server", "spindle", "cores"], type: .int).encodedKey == "s.yaml:5")
        #expect(try provider.value(forKey: ["database", "host"], type: .string).value?.content == .string("db"))
        #expect(
            try provider.value(forKey: ["database", "ports"], type: .stringArray).value?.content
                == .stringArray(["1", "2"])
        )
        #expect(try provider.value(forKey: ["server", "spindle", "listen"], type: .stringArray).value != nil)
        #expect(throws: OptionsFile.Refusal.self) {
            try provider.value(forKey: ["database", "host"], type: .int)
        }
        #expect(throws: OptionsFile.Refusal.self) { try file(text + "    coers: 1\n", options) }
    }

    @Test("arbitrary text is read or refused, and never ends the process", arguments: 0..<300)
    func arbitrary(seed: UInt64) {
        var state = seed &* 0x9e37_79b9_7f4a_7c15 &+ 1
        func next(_ bound: Int) -> Int {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int(state >> 33) % bound
        }
        let pieces = [
            "cores", ": ", "\n", "- ", "{", "}", "[", "]", "\"", "'", "&a", "*a", "  ", "2", "#", "|", "\t", ",", "!",
            "é", "\u{0}",
        ]
        let text = (0..<next(40)).map { _ in pieces[next(pieces.count)] }.joined()
        _ = complaint(text)
    }
}
