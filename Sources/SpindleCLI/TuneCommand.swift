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

            Loopback cannot rank --accept-mode reuseport-cpu, --near and --busy-poll: they need a network card.


            """ + EngineFlags.commonHelp
    )
    @Option(help: ArgumentHelp("How long to measure each value in each round.", valueName: "time"))
    var duration: String = "1s"
    @Option(help: "How often each value is measured, in turn.")
    var rounds: Int = 5
    @Flag(help: "Print JSON.")
    var json = false
    @Option(help: ArgumentHelp("Write a page with plots, too: one file that needs no network.", valueName: "file.html"))
    var report: String?
    @Flag(help: .hidden)
    var document = false
    @OptionGroup var engine: EngineFlags

    func run() async throws {
        if document { return Console.write(TuningDocument.text) }
        let configuration = try engine.configuration(environment: Environment.all)
        if engine.answered(configuration) { return }
        guard (1...100).contains(rounds) else {
            throw ValidationError("--rounds: '\(rounds)' is not allowed; allowed is a whole number from 1 to 100")
        }
        guard let time = TimeText.parse(duration), time >= .milliseconds(10) else {
            throw ValidationError("--duration: '\(duration)' is not allowed; allowed is a time from 10ms on, as 1s")
        }
        let given = try engine.given(environment: Environment.all)
        var tuning = TuneRun(configuration: configuration, given: given, duration: time, rounds: rounds, isQuiet: json)
        do {
            try await tuning.run()
            let report = TuneReport(tuning)
            Console.say(json ? report.json.indentedText : report.text)
            if let path = self.report {
                try OutputFile.write(report.page(MachineFacts(), command: ShellText.thisCommand).html, to: path)
            }
        } catch {
            throw CommandFailure.report(error)
        }
    }
}
