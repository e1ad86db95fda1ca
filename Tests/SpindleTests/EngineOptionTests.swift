// SPDX-License-Identifier: Apache-2.0

import Glibc
import Logging
import Spindle
import Testing

@Suite
struct EngineOptionTests {
    @Test(
        "every option reads back what it prints, and refuses nonsense with what is allowed",
        arguments: EngineOption.all.map(\.name)
    )
    func roundTrip(name: String) throws {
        let option = try #require(EngineOption.named(name))
        var configuration = EngineConfiguration()
        let before = option.value(in: configuration)
        try option.set(before, in: &configuration)
        #expect(option.value(in: configuration) == before)
        #expect(configuration == EngineConfiguration())
        if name != "near" {
            let error = #expect(throws: OptionError.self) { try option.set("nonsense?", in: &configuration) }
            #expect(error?.description.contains("nonsense?") == true)
            #expect(error?.description.contains(option.allowed) == true)
        }
        #expect(!option.summary.isEmpty && !option.tradeOff.isEmpty)
    }

    /// A value of each option that is not its default, as it is printed.
    static let otherValues: [String: String] = [
        "cores": "3", "cpuset": "0-3,8", "numa-node": "1", "near": "eth0", "placement": "pack", "pin": "never",
        "no-smt": "true", "oversubscribe": "true", "accept-mode": "balanced", "balance-threshold": "3",
        "backlog": "77", "busy-poll": "50us", "max-connections": "1000", "receive-buffer": "16KiB",
        "read-budget": "100", "file-budget": "5000", "zero-copy": "9999", "datagrams-per-receive": "9",
        "largest-datagram": "1500",
        "events-per-wait": "512",
        "accept-budget": "7", "close-budget": "5",
        "timer-budget": "10", "job-budget": "11", "write-high-watermark": "1MiB", "write-low-watermark": "1KiB",
        "write-limit": "1GiB", "reactor-write-limit": "2GiB", "cork": "1KiB", "idle-timeout": "90s",
        "close-timeout": "1ms", "write-progress-timeout": "never", "linger-timeout": "0", "drain-timeout": "1m",
        "idle-spin": "20us", "poll-mode": "true", "events-per-glance": "1", "mail-budget": "12",
        "mailbox-capacity": "64", "inbox-capacity": "9", "descriptor-table": "4096",
        "urgent-capacity": "8", "blocking-threads": "3", "blocking-queue": "5", "user": "www-data", "group": "33",
    ]

    @Test("every option keeps what it is set to, and nothing else changes", arguments: EngineOption.all.map(\.name))
    func setsOne(name: String) throws {
        let option = try #require(EngineOption.named(name))
        let text = try #require(Self.otherValues[name], "a new option: give the test a value")
        var configuration = EngineConfiguration()
        try option.set(text, in: &configuration)
        #expect(option.value(in: configuration) == text)
        #expect(configuration != EngineConfiguration())
        for other in EngineOption.all where other.name != name {
            #expect(other.value(in: configuration) == other.value(in: EngineConfiguration()), "\(other.name)")
        }
    }

    @Test(
        "a user or group that is not there is refused when the engine is made",
        arguments: [
            ("no-such-user-here", nil, "user"), ("4294967294", nil, "user"), ("root", "no-such-group-here", "group"),
        ]
    )
    func unknownOwner(user: String, group: String?, option: String) {
        var configuration = EngineConfiguration()
        (configuration.user, configuration.group) = (user, group)
        let error = #expect(throws: OptionError.self) { try Engine(configuration, log: SilentLog()) }
        #expect(error?.option == option)
    }

    @Test("a start that is to become who the process is changes nothing")
    func sameOwner() async throws {
        let engine = try engine(reactors: 1) { ($0.user, $0.group) = ("\(geteuid())", "\(getegid())") }
        try await engine.start()
        await engine.stop()
        #expect(engine.phase == .idle)
    }

    @Test("the log goes to swift-log with level and metadata")
    func swiftLog() {
        struct Handler: LogHandler {
            let lines: Recorder<String>
            var metadata: Logger.Metadata = [:]
            var logLevel = Logger.Level.trace
            subscript(metadataKey key: String) -> Logger.Metadata.Value? {
                get { metadata[key] }
                set { metadata[key] = newValue }
            }
            func log(event: LogEvent) {
                let pairs = (event.metadata ?? [:]).sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
                lines.add("\(event.level): \(event.message) \(pairs.joined(separator: " "))")
            }
        }
        let lines = Recorder<String>()
        let sink = SwiftLogSink(Logger(label: "test") { _ in Handler(lines: lines) })
        let peer = SocketAddress.loopback(port: 9)
        sink.write(LogRecord(level: .error, message: "broke", reactor: 2, connection: 7, peer: peer))
        sink.write(LogRecord(level: .warning, message: "mind"))
        sink.write(LogRecord(level: .info, message: "so"))
        sink.write(LogRecord(level: .debug, message: "much"))
        #expect(
            lines.values == [
                "error: broke connection=7 peer=127.0.0.1:9 reactor=2", "warning: mind ", "info: so ", "debug: much ",
            ]
        )
    }

    @Test("names are unique and make unique environment variables")
    func unique() {
        #expect(Set(EngineOption.all.map(\.environmentName)).count == EngineOption.all.count)
        #expect(EngineOption.named("idle-spin")?.environmentName == "SPINDLE_IDLE_SPIN")
    }

    @Test("sizes and times take units and are printed in their shortest exact form")
    func units() {
        #expect(ByteSize.parse("64KiB") == 65536)
        #expect(ByteSize.parse("1m") == 1 << 20)
        #expect(ByteSize.parse("9223372036854775807G") == nil)
        #expect(ByteSize.parse("-1") == nil)
        #expect(ByteSize.text(65536) == "64KiB")
        #expect(ByteSize.text(65537) == "65537")
        #expect(TimeText.parse("50us") == .microseconds(50))
        #expect(TimeText.parse("1.5s") == .milliseconds(1500))
        #expect(TimeText.parse("5") == nil)
        #expect(TimeText.parse("0") == .zero)
        #expect(TimeText.text(.milliseconds(1500)) == "1500ms")
        #expect(TimeText.text(.seconds(120)) == "2m")
    }

    @Test("contradictory limits are refused by the option to change")
    func relations() {
        var configuration = EngineConfiguration()
        configuration.limits.writeLowWatermarkBytes = configuration.limits.writeHighWatermarkBytes
        #expect(throws: OptionError.self) { try configuration.validate() }
        configuration = EngineConfiguration()
        configuration.limits.mailboxCapacity = 1000
        #expect(throws: OptionError.self) { try configuration.validate() }
        configuration = EngineConfiguration()
        configuration.limits.writeHighWatermarkBytes = configuration.limits.writeLimitBytes
        #expect(throws: OptionError.self) { try configuration.validate() }
        configuration = EngineConfiguration()
        configuration.limits.urgentCapacity = 3
        let error = #expect(throws: OptionError.self) { try configuration.validate() }
        #expect(error?.description.contains("urgent-capacity") == true)
    }
}
