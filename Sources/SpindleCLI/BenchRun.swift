// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
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
        let engines = try CommandFailure.translate {
            try BenchEngines(
                configuration,
                hasServer: flags.connect == nil,
                isOpenLoop: plan.pace.isOpen,
                bytesOnTheWay: plan.bytesOnTheWay
            )
        }
        do {
            if let address = try await engines.start() { plan.address = address }
        } catch {
            throw CommandFailure.report(error)
        }
        if let server = engines.server {
            plan.connections = flags.connections ?? kind.connectionsPerReactor * server.reactorCount
        }
        do { try checkDescriptors(for: plan.connections, isLocal: engines.server != nil) } catch {
            await engines.stop()
            throw error
        }
        if !flags.json { Console.say(BenchReport.header(plan, kind, engines)) }
        let outcome: Result<Outcome, any Error>
        do { outcome = .success(try await report(plan, engines)) } catch { outcome = .failure(error) }
        await engines.stop()
        try CommandFailure.translate {
            let outcome = try outcome.get()
            // First what cannot fail.
            Console.say(outcome.text)
            if let path = flags.report {
                try OutputFile.write(outcome.page(MachineFacts(), ShellText.thisCommand).html, to: path)
            }
        }
    }

    private struct Outcome {
        let text: String
        /// Made when it is asked for: it reads a good deal about the machine.
        let page: (_ facts: MachineFacts, _ command: String) -> ReportPage
    }

    /// A connection is one descriptor, or two where both of its ends are in this process.
    private func checkDescriptors(for connections: Int, isLocal: Bool) throws {
        let needed = UInt64(connections * (isLocal ? 2 : 1) + 256)
        let limit = try CommandFailure.translate { try DescriptorLimit.raise(to: needed) }
        guard limit.soft >= needed else {
            let other =
                isLocal ? ", or run the server by itself (spindle echo) and measure it with --connect" : ""
            throw ValidationError(
                "--connections: \(connections) need \(needed) descriptors in this process, whose hard limit is "
                    + "\(limit.hard): raise that (ulimit -Hn)\(other)"
            )
        }
    }

    /// Measures, and says what came of it.
    private func report(_ plan: LoadPlan, _ engines: BenchEngines) async throws -> Outcome {
        if let sweep = try flags.sweep() { return try await report(sweep, plan, engines) }
        let result = try await measure(plan, engines)
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

    private func report(_ sweep: RateSweep, _ plan: LoadPlan, _ engines: BenchEngines) async throws -> Outcome {
        var (sweep, plan) = (sweep, plan)
        var limited: [String] = []
        if !flags.json { Console.say("\n" + SweepReport.head) }
        while let rate = sweep.next {
            plan.pace = .open(messagesPerSecond: rate)
            let result = try await measure(plan, engines)
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

    private func measure(_ plan: LoadPlan, _ engines: BenchEngines) async throws -> LoadResult {
        let progress = LoadProgress()
        let interruptions = try Interruptions { progress.end() }
        let showing = Task { await showProgress(progress, plan) }
        defer {
            interruptions.stop()
            showing.cancel()
            Console.progress("")
        }
        let process = flags.serverPid.map { ProcessUsage(process: $0) }
        let load = LoadGenerator(plan, on: engines.generator, server: engines.server) { process?.read() }
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
