// SPDX-License-Identifier: Apache-2.0

import ArgumentParser

/// The `spindle` command: servers to measure, a load generator, and a look at the machine.
struct SpindleCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "spindle",
        abstract: "A thread-per-core server engine: one reactor per CPU core.",
        discussion: """
            Start with `spindle bench echo`: it shows how fast an echo server on this machine's cores is.
            `spindle topology` shows the machine and where reactors would run.
            """,
        version: "0.1.0",
        subcommands: [
            EchoCommand.self, DiscardCommand.self, ChargenCommand.self, DaytimeCommand.self,
            ForwardCommand.self, ServeCommand.self, BenchCommand.self, TuneCommand.self, TopologyCommand.self,
        ]
    )
}
