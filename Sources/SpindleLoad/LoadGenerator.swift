// SPDX-License-Identifier: Apache-2.0

public import Histogram
public import Spindle
internal import Synchronization

/// What a run of the load generator has measured.
public struct LoadResult: Sendable {
    /// Messages that came back in the measured time.
    public let messages: Int
    /// The measured time.
    public let elapsed: Duration
    /// The time from sending a message to its last byte coming back, in nanoseconds.
    public let latency: Histogram<UInt64>
    /// The CPU time of the server's reactors per message, by reactor, when the server is in this process.
    public let serverCPU: [Duration]
    /// The share of time that each reactor of the generator was busy, 0...1.
    public let generatorBusy: [Double]
    /// Connections of each of the server's reactors, when the server is in this process.
    public let serverConnections: [Int]
    /// Messages that each of the server's reactors has handled in the measured time.
    public let serverMessages: [Int]

    /// Messages per second.
    public var messagesPerSecond: Double { Double(messages) / (elapsed / .seconds(1)) }
}

/// Drives an echo server with the reactors of an engine.
public struct LoadGenerator: Sendable {
    private let plan: LoadPlan
    private let engine: Engine
    private let server: Engine?

    /// - Parameters:
    ///   - plan: What to do.
    ///   - engine: The generator's reactors; must run.
    ///   - server: The server's engine when it is in this process: its CPU time is measured.
    public init(_ plan: LoadPlan, on engine: Engine, server: Engine? = nil) {
        self.plan = plan
        self.engine = engine
        self.server = server
    }

    /// Connects, warms up, measures, waits for what is on the way, closes.
    ///
    /// - Throws: `LoadFailure` when a byte was wrong, lost or surplus, or the server could not be reached.
    public func run(progress: LoadProgress = LoadProgress()) async throws -> LoadResult {
        let workers = WorkerSet(count: engine.reactorCount)
        try await connect(workers, progress)
        await workers.onEach(engine) { $0.begin() }
        try await pause(plan.warmup, workers)
        await workers.onEach(engine) { $0.startMeasuring() }
        let start = ContinuousClock.now
        let before = await Sample(engine: server)
        try await pause(plan.duration, workers)
        let after = await Sample(engine: server)
        // What is received until each worker has stopped counting belongs to the time until then.
        await finish(workers)
        let elapsed = workers.elapsed(since: start)
        return try result(workers, elapsed: elapsed, before: before, after: after)
    }

    private func connect(_ workers: WorkerSet, _ progress: LoadProgress) async throws {
        let (plan, engine) = (plan, engine)
        await withTaskGroup(of: Void.self) { group in
            for handle in engine.reactors {
                group.addTask {
                    await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
                        _ = handle.submit {
                            guard let reactor = Reactor.current else { return continuation.resume() }
                            let share = Share.of(plan.connections, part: reactor.index, of: engine.reactorCount)
                            let worker = LoadWorker(
                                plan: plan,
                                reactor: reactor,
                                connectionCount: share.count,
                                progress: progress
                            )
                            workers.set(worker, at: reactor.index)
                            worker.connect(firstNumber: share.lowerBound) { continuation.resume() }
                        }
                    }
                }
            }
        }
        try await check(workers)
    }

    private func check(_ workers: WorkerSet) async throws {
        for failure in await workers.failures(engine) { throw failure }
    }

    /// Sleeps in short steps, so that a failure ends the run soon.
    private func pause(_ duration: Duration, _ workers: WorkerSet) async throws {
        let end = ContinuousClock.now + duration
        while ContinuousClock.now < end {
            try await ContinuousClock().sleep(until: min(end, .now + .milliseconds(200)))
            try await check(workers)
        }
    }

    private func finish(_ workers: WorkerSet) async {
        await withTaskGroup(of: Void.self) { group in
            for handle in engine.reactors {
                group.addTask {
                    await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
                        _ = handle.submit {
                            guard let worker = workers.get(handle.index) else { return continuation.resume() }
                            workers.stopped()
                            worker.finish { continuation.resume() }
                        }
                    }
                }
            }
        }
    }

    private func result(_ workers: WorkerSet, elapsed: Duration, before: Sample, after: Sample) throws -> LoadResult {
        let results = workers.results()
        if let failure = results.lazy.compactMap(\.failure).first { throw failure }
        var latency = Histogram<UInt64>(highestTrackableValue: 60_000_000_000, numberOfSignificantValueDigits: .three)
        for result in results { latency.add(result.histogram) }
        return LoadResult(
            messages: results.reduce(0) { $0 + $1.messages },
            elapsed: elapsed,
            latency: latency,
            serverCPU: zip(after.cpu, before.cpu).map { $0 - $1 },
            generatorBusy: engine.snapshot().reactors.map(\.busyShare),
            serverConnections: before.connections,
            serverMessages: zip(after.messages, before.messages).map { $0 - $1 }
        )
    }
}

/// The server's figures at one moment.
private struct Sample {
    let cpu: [Duration]
    let connections: [Int]
    let messages: [Int]

    init(engine: Engine?) async {
        cpu = await engine?.cpuTimes() ?? []
        let reactors = engine?.snapshot().reactors ?? []
        connections = reactors.map { Int($0[.openConnections]) }
        messages = reactors.map { Int($0[.bytesReceived]) }
    }
}

/// Equal parts of a number.
enum Share {
    /// The `part`-th of `parts` stretches of 0..<whole that differ by at most 1 in length.
    static func of(_ whole: Int, part: Int, of parts: Int) -> Range<Int> {
        whole * part / parts..<whole * (part + 1) / parts
    }
}
