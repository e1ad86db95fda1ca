// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Spindle
import SpindleTopology

struct TopologyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "topology",
        abstract: "Show the machine, and where reactors would run with the given flags.",
        discussion: EngineFlags.commonHelp
    )
    @Flag(help: "Print JSON.")
    var json = false
    @Option(help: ArgumentHelp("Read /sys and /proc below this folder instead of /.", valueName: "folder"))
    var root: String = "/"
    @OptionGroup var engine: EngineFlags

    func run() async throws {
        let settings = try await engine.settings()
        if engine.answered(settings, json: json) { return }
        let machine = MachineTopology(reading: SystemFiles(root: root))
        let plan = try CommandFailure.translate { try Placement.plan(settings.engine.placement, on: machine) }
        let drawing = TopologyDrawing(of: machine, placement: plan)
        Console.say(json ? drawing.json.indentedText : String(drawing.text.dropLast()))
    }
}
