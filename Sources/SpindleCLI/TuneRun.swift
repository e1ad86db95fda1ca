// SPDX-License-Identifier: Apache-2.0

import Spindle
import SpindleLoad
import SpindleTopology

/// The run of `spindle tune`: stage after stage, each with what the ones before it have found.
struct TuneRun {
    /// What is measured with: what was given, and what was found so far.
    private(set) var configuration: EngineConfiguration
    /// Options that the user has chosen: they are not tried.
    let given: Set<String>
    let duration: Duration
    let rounds: Int
    /// No table while it runs.
    let isQuiet: Bool
    /// What was measured and what follows from it, by stage.
    private(set) var results: [(stage: TuneStage, points: [TunePoint], advice: TuneAdvice)] = []
    /// The server and the load generator had to share cores.
    private(set) var sharesCores = false
    /// Options that could not be tried here, and why.
    private(set) var leftOut: [(option: String, reason: String)] = [
        ("accept-mode reuseport-cpu", "needs a network card that spreads its interrupts over cores"),
        ("near", "needs a network card"), ("busy-poll", "needs a network card"),
    ]

    init(configuration: EngineConfiguration, given: Set<String>, duration: Duration, rounds: Int, isQuiet: Bool) {
        self.configuration = configuration
        self.given = given
        self.duration = duration
        self.rounds = rounds
        self.isQuiet = isQuiet
    }

    mutating func run() async throws {
        let split = try BenchmarkPlacement.plan(
            configuration.placement,
            on: MachineTopology(reading: SystemFiles())
        )
        sharesCores = split.sharesCores
        let most = split.server.reactors.count
        try await decide(
            TuneStage(
                option: "cores",
                values: TuneRun.counts(upTo: most).map(String.init),
                measure: .rate,
                kind: .echo,
                question: "How many cores?"
            ),
            rate: nil
        )
        if sharesCores {
            leftOut.append(("idle-spin", "server and load generator share a core, which a spinning server would take"))
        } else {
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
        try await decide(
            TuneStage(
                option: "receive-buffer",
                values: ["64KiB", "16KiB", "256KiB"],
                measure: .rate,
                kind: .stream,
                question: "How large a receive buffer?"
            ),
            rate: nil
        )
        if most > 1 {
            try await decide(
                TuneStage(
                    option: "accept-mode",
                    values: ["reuseport", "balanced"],
                    measure: .rate,
                    kind: .echo,
                    question: "Which way to accept?"
                ),
                rate: nil
            )
        } else {
            leftOut.append(("accept-mode", "one reactor has nobody to share connections with"))
        }
    }

    /// Messages a second that a server with these flags takes: known from the numbers of cores, or measured.
    private func peakRate() async throws -> Double {
        if let known = results.last?.points.map(\.rates.median).max() { return known }
        return try await measure(.echo, configuration, rate: nil).messagesPerSecond
    }

    /// 1, 2, 4 … and the most there can be.
    static func counts(upTo most: Int) -> [Int] {
        Array(Set([most] + (0..<10).map { 1 << $0 }.filter { $0 < most })).sorted()
    }

    /// Measures the values of a stage in turn, and keeps the one that is best.
    private mutating func decide(_ stage: TuneStage, rate: Double?) async throws {
        guard !given.contains(stage.option) else {
            return leftOut.append((stage.option, "was given"))
        }
        if !isQuiet { Console.say("\n\(stage.question)\n" + TuneReport.head) }
        var points = stage.values.map { TunePoint($0) }
        for round in 0..<rounds {
            for index in round % 2 == 0 ? Array(points.indices) : points.indices.reversed() {
                Console.progress("--\(stage.option) \(points[index].value), round \(round + 1) of \(rounds)")
                var tried = configuration
                try set(stage.option, points[index].value, in: &tried)
                points[index].add(try await measure(stage.kind, tried, rate: rate))
            }
        }
        Console.progress("")
        if !isQuiet { for point in points { Console.say(TuneReport.line(stage, point)) } }
        let advice =
            stage.option == "cores"
            ? TuneAdvice.cores(points, unchanged: EngineOption.named("cores")?.value(in: configuration) ?? "auto")
            : TuneAdvice.choose(stage, points)
        results.append((stage, points, advice))
        try set(stage.option, advice.value, in: &configuration)
    }

    private func set(_ name: String, _ value: String, in configuration: inout EngineConfiguration) throws {
        guard let option = EngineOption.named(name) else { preconditionFailure("no option \(name)") }
        try option.set(value, in: &configuration)
    }

    private func measure(
        _ kind: BenchKind,
        _ configuration: EngineConfiguration,
        rate: Double?
    ) async throws -> LoadResult {
        let pace = rate.map { Pace.open(messagesPerSecond: $0) } ?? .closed
        let engines = try BenchEngines(configuration, isOpenLoop: pace.isOpen)
        let address = try await engines.start()
        let plan = LoadPlan(
            work: kind.work,
            address: address ?? .loopback(port: 0),
            connections: kind.connectionsPerReactor * (engines.server?.reactorCount ?? 1),
            sizes: SizesText.parse(kind.size) ?? .constant(64),
            depth: pace.isOpen ? BenchKind.openLoopDepth : kind.depth,
            pace: pace,
            duration: duration,
            warmup: .milliseconds(200)
        )
        let outcome: Result<LoadResult, any Error>
        do {
            let load = LoadGenerator(plan, on: engines.generator, server: engines.server)
            outcome = .success(try await load.run())
        } catch { outcome = .failure(error) }
        await engines.stop()
        return try outcome.get()
    }
}
