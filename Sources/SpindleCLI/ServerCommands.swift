// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Spindle
import SpindleTopology

/// What the servers have in common.
struct ServerFlags: ParsableArguments {
    @Option(name: .long, help: ArgumentHelp("Listen here; may be repeated. \(ListenHelp.form)", valueName: "where"))
    var listen: [String] = []

    @Option(help: ArgumentHelp("Print a line of figures per core at this interval, as 1s.", valueName: "time"))
    var stats: String?

    @Option(help: "Log at this level and above: debug, info, warning, error. (default: info)")
    var logLevel: String?

    @Option(help: "How the log is written: text or json. (default: text)")
    var logFormat: String?

    @Option(help: "Lines of the log that may wait to be written; further ones are dropped and counted. (default: 8192)")
    var logQueue: String?

    @Flag(help: "Print the counters as one line of JSON when the server ends.")
    var json = false

    @OptionGroup var engine: EngineFlags

    /// Runs a server until a signal ends it.
    ///
    /// - Parameters:
    ///   - name: The protocol, where the command decides.
    ///   - chosen: The protocol, where the user does and has.
    func serve(_ name: String?, chosen: String? = nil) async throws {
        let given: [(ServerSetting, [String]?)] = [
            (.listen, listen.isEmpty ? nil : listen), (.stats, stats.map { [$0] }), (.logLevel, logLevel.map { [$0] }),
            (.logFormat, logFormat.map { [$0] }), (.logQueue, logQueue.map { [$0] }), (.protocol, chosen.map { [$0] }),
        ]
        let others = given.reduce(into: [:]) { $0[$1.0.name] = $1.1 }
        let all = try await engine.settings(others: others)
        let settings = try CommandFailure.translate {
            try ServerSettings(all, protocol: name, registry: SpindleProgram.linked)
        }
        if engine.answered(all, with: ServerSetting.allCases.filter { name == nil || $0 != .protocol }, json: json) {
            return
        }
        let server = try CommandFailure.translate {
            try SpindleProgram.startLog(settings.logFormat, level: settings.logLevel, queue: settings.logQueue)
            return try Engine(all.engine)
        }
        Console.say(Report.placement(of: server))
        for endpoint in settings.endpoints {
            let listener = try CommandFailure.translate { try endpoint.listen(with: server, settings.served) }
            for address in listener.addresses { Console.say("listening on \(address)") }
        }
        let reporter = settings.statisticsInterval.map { StatisticsReporter(engine: server, interval: $0) }
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
    func run() async throws { try await flags.serve("echo") }
}

struct DiscardCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "discard",
        abstract: "A server that drops what it receives (RFC 863).",
        discussion: EngineFlags.commonHelp
    )
    @OptionGroup var flags: ServerFlags
    func run() async throws { try await flags.serve("discard") }
}

struct ChargenCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "chargen",
        abstract: "A server that sends characters for as long as the client reads (RFC 864).",
        discussion: EngineFlags.commonHelp
    )
    @OptionGroup var flags: ServerFlags
    func run() async throws { try await flags.serve("chargen") }
}

struct DaytimeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "daytime",
        abstract: "A server that says what time it is (RFC 867).",
        discussion: EngineFlags.commonHelp
    )
    @OptionGroup var flags: ServerFlags
    func run() async throws { try await flags.serve("daytime") }
}

struct ForwardCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "forward",
        abstract: "A server that passes connections on to another one, as fast as both sides read.",
        discussion: EngineFlags.commonHelp
    )
    @Option(help: ArgumentHelp("Connect to this: \(ListenHelp.target)", valueName: "where"))
    var to: String
    @OptionGroup var flags: ServerFlags

    func run() async throws {
        // Read here, so that an error speaks of --to.
        do { _ = try SpindleProgram.linked.makeRoute(to) } catch { throw ValidationError("--to: \(error)") }
        try await flags.serve(PluginText([PluginText.Part("forward", [("to", to)])]).description)
    }
}

struct ServeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "serve",
        abstract: "A server of any protocol that is linked into this program.",
        discussion: SpindleProgram.registeredHelp + "\n\n" + EngineFlags.commonHelp
    )
    @Option(name: .customLong("protocol"), help: ArgumentHelp("What to serve, as chat:room=hall.", valueName: "name"))
    var served: String?
    @OptionGroup var flags: ServerFlags

    func run() async throws { try await flags.serve(nil, chosen: served) }
}

/// How endpoints are written.
enum ListenHelp {
    static let form =
        "tcp:PORT[:interface=ADDRESS-OR-NAME], unix:PATH[:mode=OCTAL], udp:PORT, systemd:name=NAME, fd:NUMBER; "
        + "serve --help shows what else is linked."
    static let target = "tcp:HOST:PORT, unix:PATH; serve --help shows what else is linked."
}
