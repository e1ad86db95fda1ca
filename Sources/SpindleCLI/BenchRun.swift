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
    private let control = RunControl()

    init(kind: BenchKind, flags: BenchFlags, engine: EngineFlags) {
        (self.kind, self.flags, self.engine) = (kind, flags, engine)
    }

    func run() async throws {
        let settings = try await engine.settings()
        if engine.answered(settings, json: flags.json) { return }
        try CommandFailure.translate { try SpindleProgram.startLog() }
        let setup = try setUp(settings.engine)
        let outcome: Result<Outcome, any Error>
        do {
            outcome = .success(try await control.whileInterruptible { try await measured(setup) })
        } catch { outcome = .failure(error) }
        await setup.engines.stop()
        try CommandFailure.translate {
            let outcome = try outcome.get()
            // First what cannot fail.
            Console.say(outcome.text)
            if let path = flags.report, let page = outcome.page {
                try OutputFile.write(page(MachineFacts(), ShellText.thisCommand).html, to: path)
            }
        }
    }

    /// Everything that is decided before anything runs.
    private struct Setup {
        var plan: LoadPlan
        /// Starts the server as a child; nil when it is in this process, or somebody else's.
        let command: ServerCommandLine?
        let sides: BenchSides
        let engines: BenchEngines
        /// Processes of the generator.
        let parts: Int
        /// Which of them this is, when it is not the one that adds up.
        let part: GeneratorFleet.Part?
    }

    private func setUp(_ configuration: EngineConfiguration) throws -> Setup {
        var plan = try flags.plan(kind)
        let command = try flags.serverCommand() ?? ownCommand
        let isLocal = flags.connect == nil && command == nil
        let machine = MachineTopology(reading: SystemFiles())
        let place: BenchSides.ServerPlace =
            flags.connect == nil
            ? .ours
            : plan.address.isOfThisMachine
                ? .otherProcess(flags.serverPid.flatMap { ProcessUsage(process: $0).allowedCPUs }) : .elsewhere
        let sides = try CommandFailure.translate { try BenchSides(configuration.placement, place, on: machine) }
        plan.connections = flags.connections ?? kind.connectionsPerReactor * sides.serverReactorCount
        plan.greets = kind.trickle != nil
        if flags.rate == nil, flags.rateSweep == nil, let trickle = kind.trickle {
            plan.pace = .open(messagesPerSecond: max(1, trickle * Double(plan.connections)))
        }
        let part = try flags.generatorPart()
        if let part { plan = part.plan(of: plan) }
        let comeAndGo = plan.churn == nil ? 0 : LoadPlan.churnPlaces * sides.generator.reactors.count
        let parts = try neededParts(plan.connections, comeAndGo, isLocal: isLocal, mayBeSeveral: part == nil)
        let engines = try CommandFailure.translate {
            try BenchEngines(
                configuration,
                sides,
                on: machine,
                hasServer: isLocal,
                // Several generators share their cores: none of them may keep one to itself.
                mayPoll: (plan.pace.isOpen || plan.churn != nil) && part == nil && parts == 1,
                isUDP: kind.isUDP,
                bytesOnTheWay: plan.bytesOnTheWay
            )
        }
        return Setup(plan: plan, command: command, sides: sides, engines: engines, parts: parts, part: part)
    }

    /// The server in a process of its own, so that its memory is not the generator's.
    private var ownCommand: ServerCommandLine? {
        guard kind.trickle != nil, flags.connect == nil else { return nil }
        let words = [OwnProgram.path ?? "spindle", "echo"] + engine.asWords
        let text = words.map(ShellText.quoted).joined(separator: " ")
        return ServerCommandLine("\(text) --listen tcp:port={port}:interface=127.0.0.1 >/dev/null")
    }

    /// How many generator processes the descriptors make it take; raises the limit as far as it goes.
    ///
    /// - Throws: When several are no way out.
    private func neededParts(_ connections: Int, _ comeAndGo: Int, isLocal: Bool, mayBeSeveral: Bool) throws -> Int {
        // A connection is one descriptor, or two where both of its ends are in this process.
        let needed = UInt64((connections + comeAndGo) * (isLocal ? 2 : 1) + GeneratorFleet.spareDescriptors)
        let limit = try CommandFailure.translate { try DescriptorLimit.raise(to: needed) }
        if limit.soft >= needed { return 1 }
        if !isLocal, mayBeSeveral {
            return GeneratorFleet.partsNeeded(
                connections: connections,
                comeAndGo: comeAndGo,
                descriptorLimit: limit.soft
            )
        }
        let other = isLocal ? ", or give the server a process of its own (--server or --connect)" : ""
        throw ValidationError(
            "--connections: \(connections) need \(needed) descriptors in this process, whose hard limit is "
                + "\(limit.hard): raise that (ulimit -Hn)\(other)"
        )
    }

    /// Starts everything, and says what came of it.
    private func measured(_ setup: Setup) async throws -> Outcome {
        var setup = setup
        if let address = try await setup.engines.start() { setup.plan.address = address }
        if setup.part != nil { return try await measurePart(setup) }
        if !flags.json { Console.say(BenchReport.header(setup.plan, kind, setup.sides, setup.command, setup.parts)) }
        guard let command = setup.command else { return try await report(setup, process: flags.serverPid) }
        return try await ServerProcess.running(
            command,
            on: setup.sides.serverCPUs,
            cores: setup.sides.serverReactorCount,
            isUDP: kind.isUDP,
            tryingFrom: setup.engines.generator,
            control: control
        ) { server in
            setup.plan.address = server.address
            return try await report(setup, process: server.process)
        }
    }

    /// Does the part of another process that adds the results up.
    private func measurePart(_ setup: Setup) async throws -> Outcome {
        let progress = LoadProgress()
        control.begins(progress)
        let answer = Gathering(1)
        // Without input the other process is gone, or wants an end.
        try SystemThread.start(name: "spindle-input") {
            while readLine() != nil { answer.arrive() }
            progress.end()
            answer.open()
        }
        let load = LoadGenerator(setup.plan, on: setup.engines.generator)
        let result = try await load.run(progress: progress) {
            Console.say(GeneratorFleet.ready)
            await answer.wait()
        }
        return Outcome(text: result.transferLines.joined(separator: "\n"), page: nil)
    }

    private struct Outcome: Sendable {
        let text: String
        /// Made when it is asked for: it reads a good deal about the machine.
        let page: (@Sendable (_ facts: MachineFacts, _ command: String) -> ReportPage)?
    }

    /// Measures, and says what came of it.
    private func report(_ setup: Setup, process: Int?) async throws -> Outcome {
        if let sweep = try flags.sweep() { return try await report(sweep, setup, process: process) }
        if kind.trickle != nil { try await touchEverything(setup) }
        let result = try await measure(setup, process: process)
        let server = setup.engines.server
        let report = BenchReport(
            plan: setup.plan,
            kind: kind,
            result: result,
            placementWarnings: setup.sides.warnings,
            server: server?.snapshot(),
            isLocal: server != nil
        )
        return Outcome(text: flags.json ? report.json.indentedText : report.text, page: report.page)
    }

    /// Some connections come and go, so that what a server keeps for all of them is not counted as the memory of each.
    private func touchEverything(_ setup: Setup) async throws {
        var few = setup.plan
        few.connections = min(64, few.connections)
        few.pace = .closed
        few.depth = 1
        few.duration = .milliseconds(50)
        few.warmup = .zero
        few.greets = false
        let progress = LoadProgress()
        control.begins(progress)
        _ = try await LoadGenerator(few, on: setup.engines.generator).run(progress: progress)
    }

    private func report(_ sweep: RateSweep, _ setup: Setup, process: Int?) async throws -> Outcome {
        var (sweep, setup) = (sweep, setup)
        var limited: [String] = []
        if !flags.json { Console.say("\n" + SweepReport.head) }
        while let rate = sweep.next, !control.isEnding {
            setup.plan.pace = .open(messagesPerSecond: rate)
            let result = try await measure(setup, process: process)
            if result.wasEndedEarly { break }
            let step = RateSweep.Step(due: rate, result)
            sweep.add(step)
            if let busy = result.generatorLimit {
                limited.append("at \(RateText.text(rate))/s the load generator was \(TuneAdvice.percent(busy)) busy")
            }
            if !flags.json { Console.say(SweepReport.line(step, keepsUp: sweep.keepsUp(step))) }
        }
        let warnings = setup.sides.warnings + limited
        let report = SweepReport(plan: setup.plan, kind: kind, sweep: sweep, warnings: warnings)
        return Outcome(text: flags.json ? report.json.indentedText : report.text, page: report.page)
    }

    private func measure(_ setup: Setup, process: Int?) async throws -> LoadResult {
        let plan = setup.plan
        let progress = LoadProgress()
        control.begins(progress)
        let showing = Task { await showProgress(progress, plan, isCounted: setup.parts == 1) }
        defer {
            showing.cancel()
            Console.progress("")
        }
        let counts = flags.countCalls
        let usage = try CommandFailure.translate {
            try process.map { try counts ? ProcessUsage(process: $0).countingCalls() : ProcessUsage(process: $0) }
        }
        guard setup.parts == 1 else {
            let words = partWords(plan)
            return try await GeneratorFleet(
                count: setup.parts,
                words: words,
                whole: plan,
                progress: progress,
                control: control
            ).run { usage?.read() }
        }
        let load = LoadGenerator(plan, on: setup.engines.generator, server: setup.engines.server) { usage?.read() }
        return try await load.run(progress: progress)
    }

    /// This command as a part runs it.
    private func partWords(_ plan: LoadPlan) -> [String] {
        var words =
            ["bench", kind.name] + (kind.isUDP ? ["--udp"] : []) + [
                "--connections", "\(plan.connections)", "--size", flags.size ?? kind.size,
            ]
        words += ["--depth", "\(plan.depth)"]
        if case .open(let rate) = plan.pace { words += ["--rate", "\(rate)"] }
        if let churn = plan.churn { words += ["--churn-rate", "\(churn)"] }
        words += ["--duration", TimeText.text(plan.duration), "--warmup", TimeText.text(plan.warmup)]
        return words + engine.asWords
    }

    private func showProgress(_ progress: LoadProgress, _ plan: LoadPlan, isCounted: Bool) async {
        let start = ContinuousClock.now
        var last = 0
        while !Task.isCancelled {
            do { try await ContinuousClock().sleep(for: .milliseconds(500)) } catch { return }
            let messages = progress.messages
            let seconds = Int(start.duration(to: .now) / .seconds(1))
            let total = Int((plan.warmup + plan.duration) / .seconds(1))
            // What other processes have done is known at the end.
            let rate = isCounted ? ", \((messages - last) * 2) \(kind.unit)/s" : ""
            Console.progress("\(seconds) of \(total) s\(rate)")
            last = messages
        }
    }
}
