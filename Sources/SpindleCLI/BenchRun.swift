// SPDX-License-Identifier: Apache-2.0

import Spindle
import SpindleLoad
import SpindleSystem
import SpindleTopology

/// One run of `spindle bench`: a server of this process or another one, the generator, the report.
struct BenchRun {
    let kind: BenchKind
    let flags: BenchFlags
    let engine: EngineFlags

    func run() async throws {
        let configuration = try engine.configuration(environment: Environment.all)
        if engine.answered(configuration) { return }
        var plan = try flags.plan(kind)
        let machine = MachineTopology(reading: SystemFiles())
        let split = try CommandFailure.translate { try BenchmarkPlacement.plan(configuration.placement, on: machine) }
        let log = StderrLog(minimum: .warning)
        let server =
            try flags.connect == nil
            ? CommandFailure.translate {
                try Engine(configuration, log: log, machine: machine, placement: split.server)
            }
            : nil
        var generatorConfiguration = EngineConfiguration()
        generatorConfiguration.limits.lingerTimeout = .milliseconds(100)
        // Sending on time takes a core of its own.
        generatorConfiguration.placement.pollMode = plan.pace.isOpen && !split.sharesCores
        let generator = try CommandFailure.translate {
            try Engine(generatorConfiguration, log: log, machine: machine, placement: split.load)
        }
        do {
            if let server {
                plan.address = try server.listen(on: .loopback(port: 0)) { EchoProtocol($0) }.address
                plan.connections = flags.connections ?? kind.connectionsPerReactor * server.reactorCount
                try await server.start()
            }
            try await generator.start()
        } catch {
            throw CommandFailure.report(error)
        }
        if !flags.json {
            Console.say(BenchReport.header(plan, kind, server: server, generator: generator, split: split))
        }
        let outcome: Result<String, any Error>
        do { outcome = .success(try await report(plan, generator: generator, server: server, split)) } catch {
            outcome = .failure(error)
        }
        await generator.stop(deadline: .seconds(2))
        await server?.stop(deadline: .seconds(2))
        Console.say(try CommandFailure.translate { try outcome.get() })
    }

    /// Measures, and says what came of it.
    private func report(
        _ plan: LoadPlan,
        generator: Engine,
        server: Engine?,
        _ split: BenchmarkPlacement
    ) async throws -> String {
        if let sweep = try flags.sweep() { return try await report(sweep, plan, generator: generator, server: server) }
        let result = try await measure(plan, generator: generator, server: server)
        let report = BenchReport(
            plan: plan,
            kind: kind,
            result: result,
            split: split,
            server: server?.snapshot(),
            isLocal: server != nil
        )
        try write { report.page($0, command: $1) }
        return flags.json ? report.json.indentedText : report.text
    }

    /// Writes the page, when one is asked for.
    private func write(_ page: (MachineFacts, String) -> ReportPage) throws {
        guard let path = flags.report else { return }
        let command = CommandLine.arguments.map(ShellText.quoted).joined(separator: " ")
        let facts = MachineFacts(MachineTopology(reading: SystemFiles()))
        try OutputFile.write(page(facts, command).html, to: path)
    }

    private func report(_ sweep: RateSweep, _ plan: LoadPlan, generator: Engine, server: Engine?) async throws -> String
    {
        var (sweep, plan) = (sweep, plan)
        if !flags.json { Console.say("\n" + SweepReport.head) }
        while let rate = sweep.next {
            plan.pace = .open(messagesPerSecond: rate)
            let result = try await measure(plan, generator: generator, server: server)
            if result.wasEndedEarly { break }
            let step = RateSweep.Step(due: rate, result)
            sweep.add(step)
            if !flags.json { Console.say(SweepReport.line(step, keepsUp: sweep.keepsUp(step))) }
        }
        let report = SweepReport(plan: plan, kind: kind, sweep: sweep)
        try write { report.page($0, command: $1) }
        return flags.json ? report.json.indentedText : report.text
    }

    private func measure(_ plan: LoadPlan, generator: Engine, server: Engine?) async throws -> LoadResult {
        let progress = LoadProgress()
        let showing = Task { await showProgress(progress, plan) }
        let interruptions = try Interruptions { progress.end() }
        defer {
            interruptions.stop()
            showing.cancel()
            Console.progress("")
        }
        let process = flags.serverPid.map { ProcessUsage(process: $0) }
        return try await LoadGenerator(plan, on: generator, server: server) { process?.read() }.run(progress: progress)
    }

    private func showProgress(_ progress: LoadProgress, _ plan: LoadPlan) async {
        let start = ContinuousClock.now
        var last = 0
        while !Task.isCancelled {
            do { try await ContinuousClock().sleep(for: .milliseconds(500)) } catch { return }
            let messages = progress.messages
            let seconds = Int(start.duration(to: .now) / .seconds(1))
            let total = Int((plan.warmup + plan.duration) / .seconds(1))
            Console.progress("\(seconds) of \(total) s, \((messages - last) * 2) \(kind.unit)/s")
            last = messages
        }
    }
}
