// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Spindle
import SpindleTopology

struct TuneCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tune",
        abstract: "Which flags should an engine run with on this machine?",
        discussion: """
            Starts an echo server on some cores and a load generator on the others, again and again with other flags, \
            and says which are better here, by how much, and which make no difference that could be told from the \
            machine's noise. Engine flags that are given stay as they are and are not tried.

            With --server your own server is started, and how many cores it needs is tried; with --connect it is one \
            that runs already, and how many connections load it. Ctrl-C ends the trying; what was found by then is \
            printed.

            Loopback cannot rank --accept-mode reuseport-cpu, --near and --busy-poll: they need a network card.


            """ + EngineFlags.commonHelp
    )
    @Option(help: ArgumentHelp("How long to measure each value in each round.", valueName: "time"))
    var duration: String = "1s"
    @Option(help: "How often each value is measured, in turn.")
    var rounds: Int = 5
    @Option(
        help: ArgumentHelp(
            "Try this server instead of the built-in echo: {port} stands for where it is to listen, "
                + "{cores} for how many cores it is to use.",
            valueName: "command"
        )
    )
    var server: String?
    @Option(help: ArgumentHelp("Load this server, which runs already.", valueName: "host:port"))
    var connect: String?
    @Flag(help: "Print JSON.")
    var json = false
    @Option(help: ArgumentHelp("Write a page with plots, too: one file that needs no network.", valueName: "file.html"))
    var report: String?
    @Flag(help: .hidden)
    var document = false
    @OptionGroup var engine: EngineFlags

    func run() async throws {
        if document { return Console.write(TuningDocument.text) }
        let settings = try await engine.settings()
        if engine.answered(settings, json: json) { return }
        guard (1...100).contains(rounds) else {
            throw ValidationError("--rounds: '\(rounds)' is not allowed; allowed is a whole number from 1 to 100")
        }
        guard let time = TimeText.parse(duration), time >= .milliseconds(10) else {
            throw ValidationError("--duration: '\(duration)' is not allowed; allowed is a time from 10ms on, as 1s")
        }
        try CommandFailure.translate { try SpindleProgram.startLog() }
        let control = RunControl()
        var tuning = TuneRun(
            target: try target(),
            configuration: settings.engine,
            given: settings.given,
            duration: time,
            rounds: rounds,
            table: TuneTable(isQuiet: json),
            control: control
        )
        do {
            try await control.whileInterruptible { try await tuning.run() }
            let report = TuneReport(tuning)
            Console.say(json ? report.json.indentedText : report.text)
            if let path = self.report {
                try OutputFile.write(report.page(MachineFacts(), command: ShellText.thisCommand).html, to: path)
            }
        } catch {
            throw CommandFailure.report(error)
        }
    }

    private func target() throws -> TuneTarget {
        guard server == nil || connect == nil else {
            throw ValidationError("--server starts a server, --connect measures one that runs: give one of them")
        }
        if let connect { return .running(try ServerAddress.parse(connect)) }
        guard let server else { return .builtIn }
        guard let command = ServerCommandLine(server), command.hasCores else {
            throw ValidationError(
                "--server: '\(server)' is not allowed; allowed is a command with {port} and {cores} in it, as "
                    + "'my-server --port {port} --threads {cores}'"
            )
        }
        return .command(command)
    }
}
