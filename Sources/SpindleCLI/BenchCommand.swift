// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Spindle
import SpindleLoad
import SpindleSystem
import SpindleTopology

struct BenchCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench",
        abstract: "Measure how fast a server is.",
        subcommands: [BenchEchoCommand.self]
    )
}

struct BenchEchoCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "echo",
        abstract: "Drive an echo server in a closed loop, every byte verified.",
        discussion: """
            Without --connect, an echo server is started on some cores of this machine and the load generator on \
            the others. The engine flags are the server's.

            """ + EngineFlags.commonHelp
    )
    @Option(help: ArgumentHelp("Measure this server instead of starting one.", valueName: "host:port"))
    var connect: String?
    @Option(help: "Connections, all together; by default 64 for each reactor of the server.")
    var connections: Int?
    @Option(help: ArgumentHelp("Bytes of a message, as 64 or 16KiB.", valueName: "size"))
    var size: String = "64"
    @Option(help: "Messages on the way per connection.")
    var depth: Int = 1
    @Option(help: ArgumentHelp("How long to measure.", valueName: "time"))
    var duration: String = "10s"
    @Option(help: ArgumentHelp("How long to run before that.", valueName: "time"))
    var warmup: String = "1s"
    @Flag(help: "Print JSON.")
    var json = false
    @OptionGroup var engine: EngineFlags

    func run() async throws {
        let configuration = try engine.configuration(environment: Environment.all)
        if engine.answered(configuration) { return }
        var plan = try parse()
        let machine = MachineTopology(reading: SystemFiles())
        let split = try CommandFailure.translate { try BenchmarkPlacement.plan(configuration.placement, on: machine) }
        let log = StderrLog(minimum: .warning)
        let server =
            try connect == nil
            ? CommandFailure.translate {
                try Engine(configuration, log: log, machine: machine, placement: split.server)
            }
            : nil
        var generatorConfiguration = EngineConfiguration()
        generatorConfiguration.limits.lingerTimeout = .milliseconds(100)
        let generator = try CommandFailure.translate {
            try Engine(generatorConfiguration, log: log, machine: machine, placement: split.load)
        }
        do {
            if let server {
                plan.address = try server.listen(on: .loopback(port: 0)) { EchoProtocol($0) }.address
                plan.connections = connections ?? 64 * server.reactorCount
                try await server.start()
            } else {
                plan.connections = connections ?? 64
            }
            try await generator.start()
        } catch {
            throw CommandFailure.report(error)
        }
        if !json { Console.say(BenchReport.header(plan, server: server, generator: generator, split: split)) }
        let outcome = await measure(plan, generator: generator, server: server)
        let turns = server?.snapshot()
        await generator.stop(deadline: .seconds(2))
        await server?.stop(deadline: .seconds(2))
        let result = try CommandFailure.translate { try outcome.get() }
        let report = BenchReport(plan: plan, result: result, split: split, server: turns, isLocal: server != nil)
        Console.say(json ? report.json.indentedText : report.text)
    }

    private func measure(_ plan: LoadPlan, generator: Engine, server: Engine?) async -> Result<LoadResult, any Error> {
        let progress = LoadProgress()
        let showing = Task { await showProgress(progress, plan) }
        defer { showing.cancel() }
        do {
            let result = try await LoadGenerator(plan, on: generator, server: server).run(progress: progress)
            Console.progress("")
            return .success(result)
        } catch {
            Console.progress("")
            return .failure(error)
        }
    }

    private func showProgress(_ progress: LoadProgress, _ plan: LoadPlan) async {
        let start = ContinuousClock.now
        var last = 0
        while !Task.isCancelled {
            do { try await ContinuousClock().sleep(for: .milliseconds(500)) } catch { return }
            let messages = progress.messages
            let seconds = Int(start.duration(to: .now) / .seconds(1))
            let total = Int((plan.warmup + plan.duration) / .seconds(1))
            Console.progress("\(seconds) of \(total) s, \((messages - last) * 2) messages/s")
            last = messages
        }
    }

    private func parse() throws -> LoadPlan {
        guard let bytes = ByteSize.parse(size), (1...(64 << 20)).contains(bytes) else {
            throw ValidationError("--size: '\(size)' is not allowed; allowed is a size from 1 to 64MiB")
        }
        guard (1...65536).contains(depth) else {
            throw ValidationError("--depth: '\(depth)' is not allowed; allowed is a whole number from 1 to 65536")
        }
        if let connections, !(1...1_000_000).contains(connections) {
            throw ValidationError(
                "--connections: '\(connections)' is not allowed; allowed is a whole number from 1 to 1000000"
            )
        }
        guard let duration = TimeText.parse(duration), duration >= .milliseconds(10) else {
            throw ValidationError("--duration: '\(duration)' is not allowed; allowed is a time from 10ms on, as 10s")
        }
        guard let warmup = TimeText.parse(warmup) else {
            throw ValidationError("--warmup: '\(warmup)' is not allowed; allowed is a time, as 1s, or 0")
        }
        return LoadPlan(
            address: try target(),
            connections: connections ?? 64,
            messageBytes: bytes,
            depth: depth,
            duration: duration,
            warmup: warmup
        )
    }

    private func target() throws -> SocketAddress {
        guard let connect else { return .loopback(port: 0) }
        guard let colon = connect.lastIndex(of: ":"), let port = UInt16(connect[connect.index(after: colon)...]),
            port > 0
        else {
            throw ValidationError(
                "--connect: '\(connect)' is not allowed; allowed is an address and a port, as 127.0.0.1:7000"
            )
        }
        var host = String(connect[..<colon])
        if host == "localhost" { host = "127.0.0.1" }
        if host.hasPrefix("["), host.hasSuffix("]") { host = String(host.dropFirst().dropLast()) }
        guard let address = SocketAddress(numericHost: host, port: port) else {
            throw ValidationError("--connect: '\(host)' is no numeric address; names are not looked up")
        }
        return address
    }
}
