// SPDX-License-Identifier: Apache-2.0

internal import Histogram
public import Spindle
internal import Synchronization

/// Drives an echo server with the reactors of an engine.
public struct LoadGenerator: Sendable {
    private let plan: LoadPlan
    private let engine: Engine
    private let server: Engine?
    private let usage: @Sendable () -> ServerUsage?

    /// - Parameters:
    ///   - plan: What to do.
    ///   - engine: The generator's reactors; must run. In an open loop, reactors in poll mode send on time to the
    ///     microsecond, others to a tick of the timer wheel (65 µs).
    ///   - server: The server's engine when it is in this process: its CPU time is measured.
    ///   - usage: Reads what the server's process has used so far, when that is another process; nil when it can't.
    public init(
        _ plan: LoadPlan,
        on engine: Engine,
        server: Engine? = nil,
        usage: @escaping @Sendable () -> ServerUsage? = { nil }
    ) {
        self.plan = plan
        self.engine = engine
        self.server = server
        self.usage = usage
    }

    /// Connects, warms up, measures, waits for what is on the way, closes.
    ///
    /// - Parameters:
    ///   - progress: What it has done so far, and a way to end it early.
    ///   - whenConnected: Awaited before the load begins, when all connections stand.
    /// - Throws: `LoadFailure` when a byte was wrong, lost or surplus, or the server could not be reached.
    public func run(
        progress: LoadProgress = LoadProgress(),
        whenConnected: @Sendable () async -> Void = {}
    ) async throws -> LoadResult {
        let workers = WorkerSet(count: engine.reactorCount)
        let unloaded = usage()
        try await prepare(workers, progress)
        await whenConnected()
        await workers.onEach(engine) { worker, _ in worker.begin() }
        try await pause(until: .now + plan.warmup, workers, progress)
        if progress.isEnding {
            await finish(workers)
            throw LoadFailure.interrupted
        }
        // First the generator's counting begins, then the server's figures are read; at the end likewise.
        let start = ContinuousClock.now
        await workers.onEach(engine) { worker, reactor in
            let now = reactor.readClock().nanoseconds
            for recorder in worker.recorders { recorder.start(at: now) }
        }
        progress.measuringBegins()
        let before = await Sample(generator: engine, server: server, usage: usage)
        var (intervals, figures, churn) = try await measure(workers, progress)
        let end = ContinuousClock.now
        await workers.onEach(engine) { worker, reactor in
            let now = reactor.readClock().nanoseconds
            for recorder in worker.recorders { recorder.end(at: now) }
        }
        let after = await Sample(generator: engine, server: server, usage: usage)
        await finish(workers)
        // What was on the way counts by when it was sent or due: not at all in a closed loop.
        let rest = await workers.takeFigures(engine)
        figures.add(rest.work)
        churn.add(rest.churn)
        try await check(workers)
        return LoadResult(
            messages: figures.messages,
            elapsed: start.duration(to: end),
            unsent: figures.unsent,
            lost: plan.work == .datagrams ? figures.lost : nil,
            latency: figures.latency ?? LoadFigures.makeHistogram(),
            intervals: intervals,
            wasEndedEarly: progress.isEnding,
            churn: plan.churn.map { _ in ChurnResult(churn) },
            bytesPerConnection: plan.bytesPerConnection(from: unloaded, to: after.usage),
            serverUsage: after.usage.flatMap { after in before.usage.map { after.since($0) } },
            serverCPU: zip(after.cpu, before.cpu).map { $0 - $1 },
            serverCalls: zip(after.calls, before.calls).map { ($0.name, $0.count - $1.count) },
            generatorBusy: zip(after.generator, before.generator).map { $0.busyShare(since: $1) },
            serverConnections: before.connections,
            serverBytes: zip(after.bytes, before.bytes).map { $0 - $1 }
        )
    }

    private func prepare(_ workers: WorkerSet, _ progress: LoadProgress) async throws {
        let impatience = Task { [engine] in
            while !progress.isEnding {
                do { try await ContinuousClock().sleep(for: .milliseconds(100)) } catch { return }
            }
            // Again and again: a worker may not be there yet.
            while !Task.isCancelled {
                await workers.onEach(engine) { worker, _ in worker.stopPreparing() }
                do { try await ContinuousClock().sleep(for: .milliseconds(100)) } catch { return }
            }
        }
        defer { impatience.cancel() }
        await onEachReactor { [plan, engine] reactor, done in
            let numbers = plan.numbers(part: reactor.index, of: engine.reactorCount)
            var worker: any LoadWorker =
                switch plan.work {
                case .echo: EchoWorker(plan, reactor, numbers, LoadRecorder(plan, progress))
                case .datagrams: DatagramWorker(plan, reactor, numbers, LoadRecorder(plan, progress))
                case .connect: ConnectWorker(plan, reactor, numbers, LoadRecorder(plan, progress))
                }
            if let churn = plan.churnPlan(generatorReactors: engine.reactorCount) {
                let places = churn.numbers(part: reactor.index, of: engine.reactorCount)
                let beside = ConnectWorker(churn, reactor, places, LoadRecorder(churn, LoadProgress()))
                worker = ChurnWorker(worker, beside: beside)
            }
            workers.set(worker, at: reactor.index)
            worker.prepare(completion: done)
        }
        try await check(workers)
    }

    /// Takes the workers' figures once a second until the time is up, or somebody has had enough.
    private func measure(
        _ workers: WorkerSet,
        _ progress: LoadProgress
    ) async throws -> ([LoadInterval], LoadFigures, churn: LoadFigures) {
        var (intervals, sum, churn) = ([LoadInterval](), LoadFigures(), LoadFigures())
        let start = ContinuousClock.now
        var last = Duration.zero
        while last < plan.duration, !progress.isEnding {
            try await pause(until: start + min(last + .seconds(1), plan.duration), workers, progress)
            let figures = await workers.takeFigures(engine)
            let end = start.duration(to: .now)
            intervals.append(LoadInterval(figures.work, from: last, to: end))
            sum.add(figures.work)
            churn.add(figures.churn)
            last = end
        }
        return (intervals, sum, churn)
    }

    private func check(_ workers: WorkerSet) async throws {
        if let failure = await workers.firstFailure(engine) { throw failure }
    }

    /// Sleeps in short steps, so that a failure or an early end is noticed soon.
    private func pause(until end: ContinuousClock.Instant, _ workers: WorkerSet, _ progress: LoadProgress) async throws
    {
        while ContinuousClock.now < end, !progress.isEnding {
            try await ContinuousClock().sleep(until: min(end, .now + .milliseconds(200)))
            try await check(workers)
        }
    }

    private func finish(_ workers: WorkerSet) async {
        await onEachReactor { reactor, done in
            guard let worker = workers.get(reactor.index) else { return done() }
            worker.finish(completion: done)
        }
    }

    /// Runs `body` on every reactor of the generator, and returns when each has called its completion.
    private func onEachReactor(_ body: @escaping @Sendable (Reactor, @escaping () -> Void) -> Void) async {
        await withTaskGroup(of: Void.self) { group in
            for handle in engine.reactors {
                group.addTask {
                    await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
                        let taken = handle.submitAlways {
                            guard let reactor = Reactor.current else { return continuation.resume() }
                            body(reactor) { continuation.resume() }
                        }
                        if taken != .sent { continuation.resume() }
                    }
                }
            }
        }
    }
}
