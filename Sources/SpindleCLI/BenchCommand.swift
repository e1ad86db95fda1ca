// SPDX-License-Identifier: Apache-2.0

import ArgumentParser

struct BenchCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench",
        abstract: "Measure how fast a server is.",
        subcommands: [
            BenchEchoCommand.self, BenchStreamCommand.self, BenchConnectCommand.self, BenchIdleCommand.self,
            BenchChurnCommand.self,
        ]
    )

    fileprivate static let discussion = """
        Without --connect or --server, an echo server is started on some cores of this machine and the load generator \
        on the others. The engine flags are the server's.

        Without --rate the loop is closed: what comes next begins when what came before has ended, as fast as it \
        goes. With --rate it is open: it begins when it is due, and latency counts from then.

        Ctrl-C ends the measuring and prints what was measured so far; a second one ends the command.


        """ + EngineFlags.commonHelp
}

struct BenchEchoCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "echo",
        abstract: "Send messages and wait for their echo, every byte verified.",
        discussion: BenchCommand.discussion
    )
    @Flag(
        help: ArgumentHelp(
            "Send datagrams: each connection is a UDP socket. Those that do not come back within 500 ms are counted."
        )
    )
    var udp = false
    @OptionGroup var flags: BenchFlags
    @OptionGroup var engine: EngineFlags

    func run() async throws { try await BenchRun(kind: udp ? .datagrams : .echo, flags: flags, engine: engine).run() }
}

struct BenchStreamCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "stream",
        abstract: "The same over few connections that are always full: 4 for each reactor, 512 B, 64 on the way.",
        discussion: BenchCommand.discussion
    )
    @OptionGroup var flags: BenchFlags
    @OptionGroup var engine: EngineFlags

    func run() async throws { try await BenchRun(kind: .stream, flags: flags, engine: engine).run() }
}

struct BenchConnectCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "connect",
        abstract: "Open a connection, send one message, wait for its echo, close, again and again.",
        discussion: BenchCommand.discussion
    )
    @OptionGroup var flags: BenchFlags
    @OptionGroup var engine: EngineFlags

    func run() async throws { try await BenchRun(kind: .connect, flags: flags, engine: engine).run() }
}

struct BenchIdleCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "idle",
        abstract: "Hold many connections with little to do: the server's memory for each.",
        discussion: """
            The server runs in a process of its own. Each connection sends a message every 10 s, unless --rate says \
            otherwise.

            """ + BenchCommand.discussion
    )
    @OptionGroup var flags: BenchFlags
    @OptionGroup var engine: EngineFlags

    func run() async throws { try await BenchRun(kind: .idle, flags: flags, engine: engine).run() }
}

struct BenchChurnCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "churn",
        abstract: "Send messages and wait for their echo, while other connections come and go.",
        discussion: BenchCommand.discussion
    )
    @OptionGroup var flags: BenchFlags
    @OptionGroup var engine: EngineFlags

    func run() async throws { try await BenchRun(kind: .churn, flags: flags, engine: engine).run() }
}
