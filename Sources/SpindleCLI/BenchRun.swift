// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Glibc
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
        let plan = try flags.plan(kind)
        let command = try flags.serverCommand() ?? ownCommand
        let engines = try CommandFailure.translate {
            try BenchEngines(
                configuration,
                hasServer: flags.connect == nil && command == nil,
                isOpenLoop: plan.pace.isOpen || plan.churn != nil,
                bytesOnTheWay: plan.bytesOnTheWay
            )
        }
        let outcome: Result<Outcome, any Error>
        do { outcome = .success(try await measured(plan, engines, command)) } catch { outcome = .failure(error) }
        await engines.stop()
        if case .failure(let error as ValidationError) = outcome { throw error }
        try CommandFailure.translate {
            let outcome = try outcome.get()
            // First what cannot fail.
            Console.say(outcome.text)
            if let path = flags.report {
                try OutputFile.write(outcome.page(MachineFacts(), ShellText.thisCommand).html, to: path)
            }
        }
    }

    /// The server in a process of its own, so that its memory is not the generator's.
    private var ownCommand: ServerCommandLine? {
        guard kind.trickle != nil, flags.connect == nil else { return nil }
        let words = [OwnProgram.path ?? "spindle", "echo"] + engine.engineFlags
        let text = words.map(ShellText.quoted).joined(separator: " ")
        return ServerCommandLine("\(text) --listen tcp:port={port}:interface=127.0.0.1 >/dev/null")
    }

    /// Starts everything, and says what came of it.
    private func measured(_ plan: LoadPlan, _ engines: BenchEngines, _ command: ServerCommandLine?) async throws
        -> Outcome
    {
        var plan = plan
        if let address = try await engines.start() { plan.address = address }
        if flags.connect == nil {
            plan.connections = flags.connections ?? kind.connectionsPerReactor * engines.split.server.reactors.count
        }
        try checkDescriptors(for: plan.connections, isLocal: engines.server != nil)
        if !flags.json { Console.say(BenchReport.header(plan, kind, engines, command)) }
        guard let command else { return try await report(plan, engines, process: flags.serverPid) }
        let reactors = engines.split.server.reactors
        let cpus = CPUSet(reactors.flatMap { Array($0.allowedCPUs) })
        return try await ServerProcess.running(
            command,
            on: cpus,
            cores: reactors.count,
            tryingFrom: engines.generator
        ) { server in
            plan.address = server.address
            return try await report(plan, engines, process: server.process)
        }
    }

    private struct Outcome: Sendable {
        let text: String
        /// Made when it is asked for: it reads a good deal about the machine.
        let page: @Sendable (_ facts: MachineFacts, _ command: String) -> ReportPage
    }

    /// A connection is one descriptor, or two where both of its ends are in this process.
    private func checkDescriptors(for connections: Int, isLocal: Bool) throws {
        let needed = UInt64(connections * (isLocal ? 2 : 1) + 256)
        let limit = try CommandFailure.translate { try DescriptorLimit.raise(to: needed) }
        guard limit.soft >= needed else {
            let other =
                isLocal ? ", or give the server a process of its own (--server or --connect)" : ""
            throw ValidationError(
                "--connections: \(connections) need \(needed) descriptors in this process, whose hard limit is "
                    + "\(limit.hard): raise that (ulimit -Hn)\(other)"
            )
        }
    }

    /// Measures, and says what came of it.
    private func report(_ plan: LoadPlan, _ engines: BenchEngines, process: Int?) async throws -> Outcome {
        if let sweep = try flags.sweep() { return try await report(sweep, plan, engines, process: process) }
        if kind.trickle != nil { try await touchEverything(plan, engines) }
        let result = try await measure(plan, engines, process: process)
        let report = BenchReport(
            plan: plan,
            kind: kind,
            result: result,
            split: engines.split,
            server: engines.server?.snapshot(),
            isLocal: engines.server != nil
        )
        return Outcome(text: flags.json ? report.json.indentedText : report.text, page: report.page)
    }

    /// Some connections come and go, so that what a server keeps for all of them is not counted as the memory of each.
    private func touchEverything(_ plan: LoadPlan, _ engines: BenchEngines) async throws {
        var few = plan
        few.connections = min(64, plan.connections)
        few.pace = .closed
        few.depth = 1
        few.duration = .milliseconds(50)
        few.warmup = .zero
        _ = try await LoadGenerator(few, on: engines.generator).run()
    }

    private func report(
        _ sweep: RateSweep,
        _ plan: LoadPlan,
        _ engines: BenchEngines,
        process: Int?
    ) async throws -> Outcome {
        var (sweep, plan) = (sweep, plan)
        var limited: [String] = []
        if !flags.json { Console.say("\n" + SweepReport.head) }
        while let rate = sweep.next {
            plan.pace = .open(messagesPerSecond: rate)
            let result = try await measure(plan, engines, process: process)
            if result.wasEndedEarly { break }
            let step = RateSweep.Step(due: rate, result)
            sweep.add(step)
            if let busy = result.generatorLimit {
                limited.append("at \(RateText.text(rate))/s the load generator was \(TuneAdvice.percent(busy)) busy")
            }
            if !flags.json { Console.say(SweepReport.line(step, keepsUp: sweep.keepsUp(step))) }
        }
        let report = SweepReport(plan: plan, kind: kind, sweep: sweep, warnings: engines.split.warnings + limited)
        return Outcome(text: flags.json ? report.json.indentedText : report.text, page: report.page)
    }

    private func measure(_ plan: LoadPlan, _ engines: BenchEngines, process: Int?) async throws -> LoadResult {
        let progress = LoadProgress()
        let isChild = process != nil && process != flags.serverPid
        let interruptions = try Interruptions {
            progress.end()
        } second: {
            if isChild, let process { kill(pid_t(process), SIGTERM) }
        }
        let showing = Task { await showProgress(progress, plan) }
        defer {
            interruptions.stop()
            showing.cancel()
            Console.progress("")
        }
        let usage = process.map { ProcessUsage(process: $0) }
        let load = LoadGenerator(plan, on: engines.generator, server: engines.server) { usage?.read() }
        return try await load.run(progress: progress)
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
