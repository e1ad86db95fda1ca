// SPDX-License-Identifier: Apache-2.0

import Glibc
import Spindle
import SpindleSystem
import Testing

@testable import SpindleCLI

@Suite("Flags, variables, a file, defaults")
struct SettingsTests {
    /// A file of this text, for as long as `body` runs.
    private func withFile<Result>(_ text: String, _ body: (String) async throws -> Result) async throws -> Result {
        var path = Array("/tmp/spindle-settings-XXXXXX".utf8CString)
        let descriptor = unsafe mkstemp(&path)
        let name = String(decoding: path.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        defer {
            close(descriptor)
            unsafe unlink(name)
        }
        try Descriptor.write(Array(text.utf8), to: descriptor)
        return try await body(name)
    }

    private func flags(_ words: [String]) -> EngineFlags {
        var flags = EngineFlags()
        flags.helpAll = false
        flags.printConfig = false
        flags.config = nil
        flags.engineFlags = words
        return flags
    }

    @Test("flags go before variables, those before the file, and each value knows where it came from")
    func precedence() async throws {
        try await withFile("cores: 5\nbacklog: 6\nmail-budget: 7\nlog-level: debug\n") { path in
            let variables = ["SPINDLE_CORES": "2", "SPINDLE_BACKLOG": "17", "SPINDLE_CONFIG": path]
            let settings = try await flags(["--cores", "3", "--idle-spin=50us", "--no-smt"])
                .settings(environment: variables)
            #expect(settings.engine.placement.cores == .count(3))
            #expect(settings.engine.limits.idleSpin == .microseconds(50))
            #expect(!settings.engine.placement.allowSMT)
            #expect(settings.engine.backlog == 17)
            #expect(settings.engine.limits.mailBudget == 7)
            #expect(settings.text(.logLevel) == "debug")
            #expect(settings.text(.logFormat) == "text")
            #expect(settings.origin(of: "cores") == "--cores")
            #expect(settings.origin(of: "backlog") == "SPINDLE_BACKLOG")
            #expect(settings.origin(of: "mail-budget") == "\(path):3")
            #expect(settings.origin(of: "log-level") == "\(path):4")
            #expect(settings.origin(of: "drain-timeout") == "default")
        }
    }

    @Test("another process of this command gets the same flags, and the same file")
    func asWords() {
        var flags = flags(["--cores", "2"])
        #expect(flags.asWords == ["--cores", "2"])
        flags.config = "x.yaml"
        #expect(flags.asWords == ["--cores", "2", "--config", "x.yaml"])
    }

    @Test("flags and variables count as given, also when they say what is so anyway")
    func given() async throws {
        let settings = try await flags(["--idle-spin", "0", "--no-smt"]).settings(environment: ["SPINDLE_CORES": "auto"]
        )
        #expect(settings.given == ["idle-spin", "no-smt", "cores"])
    }

    @Test(
        "a wrong engine flag is refused",
        arguments: [
            ["--cores"], ["--cores", "x"], ["--coers", "2"], ["stray"], ["--backlog", "0"], ["--no-smt=perhaps"],
            ["--write-low-watermark", "1GiB"], ["--cores", "1", "--cores", "2"], ["--group", "5"],
        ]
    )
    func wrongFlags(words: [String]) async {
        await #expect(throws: (any Error).self) { try await flags(words).settings(environment: [:]) }
    }

    @Test("a variable that is no option is refused, but for those that clusters set for services of that name")
    func variables() async throws {
        func failure(_ name: String) async -> SettingsFailure? {
            do {
                _ = try await Settings(flags: [:], environment: [name: "1"], file: nil)
                return nil
            } catch { return error as? SettingsFailure }
        }
        #expect(await failure("SPINDLE_COERS")?.description.contains("SPINDLE_CORES") == true)
        #expect(await failure("SPINDLE_COERS")?.code == ExitStatus.usage)
        for name in [
            "SPINDLE_PORT", "SPINDLE_SERVICE_HOST", "SPINDLE_SERVICE_PORT", "SPINDLE_SERVICE_PORT_HTTP",
            "SPINDLE_PORT_80_TCP", "SPINDLE_PORT_80_TCP_ADDR", "SPINDLE_ECHO_SERVICE_HOST",
            "SPINDLE_ECHO_PORT_7_TCP_PORT",
        ] {
            #expect(await failure(name) == nil, "\(name)")
        }
        for name in ["SPINDLE_PORTS", "SPINDLE_HOST", "SPINDLE_PORT_X"] {
            #expect(await failure(name) != nil, "\(name)")
        }
    }

    @Test("a file that is wrong is told by line and exit code, and one that is not there by another")
    func files() async throws {
        func failure(_ text: String) async throws -> SettingsFailure? {
            try await withFile(text) { path in
                do {
                    _ = try await Settings(flags: [:], environment: [:], file: path)
                    return nil
                } catch { return error as? SettingsFailure }
            }
        }
        let wrong = try await failure("\ncores: many\n")
        #expect(wrong?.code == ExitStatus.configuration)
        #expect(wrong?.description.contains(":2: cores: 'many' is not allowed") == true)
        #expect(try await failure("coers: 2")?.code == ExitStatus.configuration)
        #expect(try await failure("listen: [a, b]\nprotocol: echo\nstats: 1s\ncores: 1") == nil)
        await #expect(
            throws: SettingsFailure("the configuration /nowhere cannot be read: ENOENT (2): no such file", code: 66)
        ) {
            try await Settings(flags: [:], environment: [:], file: "/nowhere")
        }
    }

    @Test(
        "what a server is told besides its engine is checked by name",
        arguments: [
            ("log-level", "loud"), ("log-format", "xml"), ("log-queue", "0"), ("stats", "1"), ("listen", "sctp:port=1"),
            ("protocol", "none-such"),
        ]
    )
    func serverSettings(name: String, text: String) async throws {
        var registry = PluginRegistry()
        try registry.add(StandardProtocols())
        let settings = try await Settings(flags: [name: [text]], environment: [:], file: nil)
        let error = #expect(throws: SettingsFailure.self) {
            try ServerSettings(settings, protocol: nil, registry: registry)
        }
        #expect(error?.description.contains(name == "listen" ? "sctp" : text) == true)
    }
}
