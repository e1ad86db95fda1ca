// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Spindle
import SpindleTopology

/// What the three servers have in common.
struct ServerFlags: ParsableArguments {
    @Option(name: .long, help: ArgumentHelp("Listen here; may be repeated. \(ListenFlag.form)", valueName: "where"))
    var listen: [ListenFlag] = []

    @Option(help: ArgumentHelp("Print a line of figures per core at this interval, as 1s.", valueName: "time"))
    var stats: String?

    @Option(help: "Log at this level and above: debug, info, warning, error.")
    var logLevel: String = "info"

    @Flag(help: "Print the counters as one line of JSON when the server ends.")
    var json = false

    @OptionGroup var engine: EngineFlags

    /// Runs a server of one kind until a signal ends it.
    func serve(_ build: @escaping @Sendable (any StreamTransport) throws -> (any StreamProtocol)?) async throws {
        let configuration = try engine.configuration(environment: Environment.all)
        if engine.answered(configuration) { return }
        guard let level = StderrLog.level(logLevel) else {
            throw ValidationError("--log-level: '\(logLevel)' is not allowed; allowed is debug, info, warning, error")
        }
        var interval: Duration?
        if let stats {
            guard let parsed = TimeText.parse(stats), parsed >= .milliseconds(10) else {
                throw ValidationError("--stats: '\(stats)' is not allowed; allowed is a time from 10ms on, as 1s")
            }
            interval = parsed
        }
        let server = try CommandFailure.translate {
            try Engine(configuration, log: StderrLog(minimum: level))
        }
        Console.say(Report.placement(of: server))
        for place in listen.isEmpty ? [ListenFlag(argument: "tcp:port=7000")!] : listen {
            var options = ListenOptions()
            options.interface = place.device
            let listener = try CommandFailure.translate {
                try server.listen(on: place.address, options: options, build)
            }
            Console.say("listening on \(listener.address)")
        }
        let reporter = interval.map { StatisticsReporter(engine: server, interval: $0) }
        let reporting = reporter.map { reporter in Task { await reporter.run() } }
        let final = FinalSnapshot()
        server.addShutdownTrigger(.during) { final.set(server.snapshot()) }
        do { try await server.run() } catch { throw CommandFailure.report(error) }
        reporting?.cancel()
        if json, let snapshot = final.get { Console.say(Report.json(of: snapshot).compactText) }
    }
}

struct EchoCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "echo",
        abstract: "A server that sends back what it receives (RFC 862).",
        discussion: EngineFlags.commonHelp
    )
    @OptionGroup var flags: ServerFlags
    func run() async throws { try await flags.serve { EchoProtocol($0) } }
}

struct DiscardCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "discard",
        abstract: "A server that drops what it receives (RFC 863).",
        discussion: EngineFlags.commonHelp
    )
    @OptionGroup var flags: ServerFlags
    func run() async throws { try await flags.serve { DiscardProtocol($0) } }
}

struct ChargenCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "chargen",
        abstract: "A server that sends characters for as long as the client reads (RFC 864).",
        discussion: EngineFlags.commonHelp
    )
    @OptionGroup var flags: ServerFlags
    func run() async throws { try await flags.serve { ChargenProtocol($0) } }
}
