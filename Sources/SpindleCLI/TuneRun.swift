// SPDX-License-Identifier: Apache-2.0

import Spindle
import SpindleLoad
import SpindleTopology

/// The run of `spindle tune`: stage after stage, each with what the ones before it have found.
struct TuneRun {
    let target: TuneTarget
    /// What is measured with: what was given, and what was found so far.
    private(set) var configuration: EngineConfiguration
    /// Options that the user has chosen: they are not tried.
    let given: Set<String>
    let duration: Duration
    let rounds: Int
    let table: TuneTable
    let control: RunControl
    /// What was measured and what follows from it, by stage.
    private(set) var results: [(stage: TuneStage, points: [TunePoint], advice: TuneAdvice)] = []
    /// The server and the load generator had to share cores.
    private(set) var sharesCores = false
    /// Somebody ended it before all was tried.
    private(set) var wasEndedEarly = false
    /// Options that could not be tried here, and why.
    private(set) var leftOut: [(option: String, reason: String)] = []
    private let machine = MachineTopology(reading: SystemFiles())
    private let place: BenchSides.ServerPlace

    init(
        target: TuneTarget,
        configuration: EngineConfiguration,
        given: Set<String>,
        duration: Duration,
        rounds: Int,
        table: TuneTable,
        control: RunControl
    ) {
        self.target = target
        if case .running(let address) = target {
            place = address.isOfThisMachine ? .otherProcess(nil) : .elsewhere
        } else {
            place = .ours
        }
        self.configuration = configuration
        self.given = given
        self.duration = duration
        self.rounds = rounds
        self.table = table
        self.control = control
    }

    mutating func run() async throws {
        let sides = try BenchSides(configuration.placement, .ours, on: machine)
        sharesCores = sides.sharesCores
        let most = sides.serverReactorCount
        let counts = TuneRun.counts(of: sides.server?.reactors ?? [], on: machine)
        switch target {
        case .builtIn:
            leftOut = [
                ("accept-mode reuseport-cpu", "needs a network card that spreads its interrupts over cores"),
                ("near", "needs a network card"), ("busy-poll", "needs a network card"),
            ]
            try await tryCores(counts)
            try await tryPlacement(of: most)
            try await tryIdleSpin()
            try await tryReceiveBuffer()
            try await tryAcceptMode(reactors: most)
        case .command:
            try await tryCores(counts)
            leftOut.append(("others", "this server has flags of its own; its number of cores is what can be tried"))
        case .running:
            try await tryConnections()
            leftOut.append(("others", "this server runs already; --server starts one with different numbers of cores"))
        }
    }

    /// 1, 2, 4 … and the most there can be, and one for each physical core where cores have several threads.
    static func counts(of reactors: [ReactorPlacement], on machine: MachineTopology) -> [Int] {
        let most = reactors.count
        let cores = Set(reactors.compactMap(\.cpu).map { machine.smtSiblings(of: $0).first ?? $0 }).count
        return counts(upTo: most, and: max(1, cores))
    }

    static func counts(upTo most: Int, and another: Int = 1) -> [Int] {
        Array(Set([most, min(another, most)] + (0..<10).map { 1 << $0 }.filter { $0 < most })).sorted()
    }

    // MARK: Stages

    private mutating func tryCores(_ counts: [Int]) async throws {
        try await decide(
            TuneStage(
                option: "cores",
                values: counts.map(String.init),
                measure: .rate,
                kind: .echo,
                question: "How many cores?"
            )
        )
    }

    private mutating func tryPlacement(of most: Int) async throws {
        let used = try BenchSides(configuration.placement, .ours, on: machine).serverReactorCount
        guard machine.nodes.count > 1 || machine.l3Groups.count > 1, used > 1, used < most else {
            let reason =
                machine.nodes.count > 1 || machine.l3Groups.count > 1
                ? "one or all cores leave nothing to place" : "this machine has one node and one shared cache"
            return leftOut.append(("placement", reason))
        }
        try await decide(
            TuneStage(
                option: "placement",
                values: ["spread", "pack"],
                measure: .rate,
                kind: .echo,
                question: "Spread over nodes and caches, or packed together?"
            )
        )
    }

    private mutating func tryIdleSpin() async throws {
        guard !sharesCores else {
            let reason = "server and load generator share a core, which a spinning server would take"
            return leftOut.append(("idle-spin", reason))
        }
        try await decide(
            TuneStage(
                option: "idle-spin",
                values: ["0", "20us", "200us"],
                measure: .latency,
                kind: .echo,
                question: "Spin before sleeping?"
            ),
            // A third of what it can take: it is idle in between, as most servers are.
            rate: max(try await peakRate() / 3, 1)
        )
    }

    private mutating func tryReceiveBuffer() async throws {
        try await decide(
            TuneStage(
                option: "receive-buffer",
                values: ["64KiB", "16KiB", "256KiB"],
                measure: .rate,
                kind: .stream,
                question: "How large a receive buffer?"
            )
        )
    }

    private mutating func tryAcceptMode(reactors: Int) async throws {
        guard reactors > 1 else {
            return leftOut.append(("accept-mode", "one reactor has nobody to share connections with"))
        }
        try await decide(
            TuneStage(
                option: "accept-mode",
                values: ["reuseport", "balanced"],
                measure: .rate,
                kind: .echo,
                question: "Which way to accept?"
            )
        )
    }

    private mutating func tryConnections() async throws {
        try await decide(
            TuneStage(
                option: TuneStage.connections,
                values: ["1", "4", "16", "64", "256"],
                measure: .rate,
                kind: .echo,
                question: "How many connections load it?"
            )
        )
    }

    // MARK: Measuring

    /// Messages a second that a server with these flags takes: known from the numbers of cores, or measured.
    private func peakRate() async throws -> Double {
        if let known = results.last?.points.map(\.rates.median).max() { return known }
        guard !control.isEnding else { return 1 }
        do { return try await measure(.echo, configuration).messagesPerSecond } catch LoadFailure.interrupted {
            return 1
        }
    }

    /// Measures the values of a stage in turn, and keeps the one that is best.
    private mutating func decide(_ stage: TuneStage, rate: Double? = nil) async throws {
        guard !given.contains(stage.option) else { return leftOut.append((stage.option, "was given")) }
        var points = stage.values.map { TunePoint($0) }
        for round in 0..<rounds {
            for index in round % 2 == 0 ? Array(points.indices) : points.indices.reversed() {
                guard !control.isEnding else { break }
                let value = points[index].value
                table.show(
                    TuneReport.table(stage, points),
                    doing: "  trying --\(stage.option) \(value), round \(round + 1) of \(rounds)"
                )
                var tried = configuration
                try set(stage.option, value, in: &tried)
                let connections = stage.option == TuneStage.connections ? Int(value) : nil
                do {
                    let result = try await measure(stage.kind, tried, rate: rate, connections: connections)
                    if !result.wasEndedEarly { points[index].add(result) }
                } catch LoadFailure.interrupted { break }
            }
        }
        // Values that nobody has measured say nothing: ended early in the first round, the stage does not count.
        guard !points.contains(where: \.rates.isEmpty) else { return wasEndedEarly = true }
        wasEndedEarly = control.isEnding
        table.show(TuneReport.table(stage, points), doing: nil)
        let advice =
            switch stage.option {
            case "cores":
                TuneAdvice.cores(points, unchanged: unchangedCores(points))
            case TuneStage.connections: TuneAdvice.connections(points)
            default: TuneAdvice.choose(stage, points)
            }
        results.append((stage, points, advice))
        try set(stage.option, advice.value, in: &configuration)
    }

    /// What is said where no number of cores is better: what an engine does by itself; of somebody's own server, which
    /// has to be given one, the most.
    private func unchangedCores(_ points: [TunePoint]) -> String {
        if case .command = target, let most = points.last { return most.value }
        return EngineOption.named("cores")?.value(in: configuration) ?? "auto"
    }

    /// Sets an engine's option; the number of connections is none.
    private func set(_ name: String, _ value: String, in configuration: inout EngineConfiguration) throws {
        guard name != TuneStage.connections else { return }
        guard let option = EngineOption.named(name) else { preconditionFailure("no option \(name)") }
        try option.set(value, in: &configuration)
    }

    private func measure(
        _ kind: BenchKind,
        _ configuration: EngineConfiguration,
        rate: Double? = nil,
        connections: Int? = nil
    ) async throws -> LoadResult {
        let pace = rate.map { Pace.open(messagesPerSecond: $0) } ?? .closed
        let isBuiltIn = if case .builtIn = target { true } else { false }
        let sides = try BenchSides(configuration.placement, place, on: machine)
        let engines = try BenchEngines(configuration, sides, on: machine, hasServer: isBuiltIn, mayPoll: pace.isOpen)
        var plan = LoadPlan(
            work: kind.work,
            address: .loopback(port: 0),
            connections: connections ?? kind.connectionsPerReactor * sides.serverReactorCount,
            sizes: SizesText.parse(kind.size) ?? .constant(64),
            depth: pace.isOpen ? BenchKind.openLoopDepth : kind.depth,
            pace: pace,
            duration: duration,
            warmup: .milliseconds(200)
        )
        let progress = LoadProgress()
        control.begins(progress)
        let outcome: Result<LoadResult, any Error>
        do {
            if let address = try await engines.start() { plan.address = address }
            switch target {
            case .builtIn:
                let load = LoadGenerator(plan, on: engines.generator, server: engines.server)
                outcome = .success(try await load.run(progress: progress))
            case .running(let address):
                plan.address = address
                outcome = .success(try await LoadGenerator(plan, on: engines.generator).run(progress: progress))
            case .command(let command):
                let result = try await ServerProcess.running(
                    command,
                    on: sides.serverCPUs,
                    cores: sides.serverReactorCount,
                    tryingFrom: engines.generator,
                    control: control
                ) { server in
                    plan.address = server.address
                    let usage = ProcessUsage(process: server.process)
                    let load = LoadGenerator(plan, on: engines.generator) { usage.read() }
                    return try await load.run(progress: progress)
                }
                outcome = .success(result)
            }
        } catch { outcome = .failure(error) }
        await engines.stop()
        return try outcome.get()
    }
}
