// SPDX-License-Identifier: Apache-2.0

import Spindle
import SpindleSystem
import Testing

/// Work off the reactors.
extension EngineTests {
    private struct Failure: Error, Equatable {}

    /// The name of the calling thread.
    private static var threadName: String {
        guard case .text(let name) = SystemFiles().read("/proc/thread-self/comm") else { return "?" }
        return String(name.prefix { !$0.isNewline })
    }

    @Test("C30: results and failures of blocking work come back on the calling reactor", arguments: reactorCounts)
    func blockingResults(reactors: Int) async throws {
        let engine = try engine(reactors: reactors)
        try await engine.start()
        for handle in engine.reactors {
            try await handle.execute { _ in
                let name = try await engine.blocking { Self.threadName }
                #expect(name.hasPrefix("spindle-pool-"))
                #expect(Reactor.current?.handle === handle)
                await #expect(throws: Failure()) { try await engine.blocking { throw Failure() } }
                #expect(Reactor.current?.handle === handle)
            }
        }
        // From no reactor at all.
        #expect(try await engine.blocking { 1 } == 1)
        await engine.stop()
    }

    @Test("C30: deferToThread calls back on its reactor, with results and with errors")
    func deferToThread() async throws {
        let engine = try engine(reactors: 2)
        try await engine.start()
        let outcomes = Recorder<String>()
        let done = Gate(2)
        engine.reactors[1].submit {
            // Not Sendable, and need not be: it never leaves the reactor.
            final class Tally { var sum = 0 }
            let tally = Tally()
            engine.blockingPool.deferToThread {
                20 + 1
            } completion: { result in
                tally.sum += (try? result.get()) ?? 0
                outcomes.add("\(tally.sum) on \(Reactor.current?.index ?? -1)")
                done.arrive()
            }
            engine.blockingPool.deferToThread { () throws -> Int in
                throw Failure()
            } completion: { result in
                if case .failure(let error) = result { outcomes.add("\(error) on \(Reactor.current?.index ?? -1)") }
                done.arrive()
            }
        }
        await done.wait()
        #expect(outcomes.values.sorted() == ["21 on 1", "Failure() on 1"])
        await engine.stop()
    }

    @Test("C30: work given before the start runs after it; the stop waits for what was given")
    func blockingStartAndStop() async throws {
        let engine = try engine(reactors: 1)
        let ran = Recorder<Int>()
        for number in 0..<3 { #expect(engine.blockingPool.submit { ran.add(number) } == .sent) }
        #expect(engine.blockingPool.waitingCount == 3)
        #expect(ran.values.isEmpty)
        try await engine.start()
        let (begun, release) = (Gate(), Latch())
        engine.blockingPool.submit {
            begun.arrive()
            release.wait()
            ran.add(4)
        }
        engine.addShutdownTrigger(.during) { release.arrive() }
        await begun.wait()
        await engine.stop()
        #expect(ran.values.sorted() == [0, 1, 2, 4])
        #expect(engine.blockingPool.threadCount == 0)
        #expect(engine.blockingPool.submit {} == .stopped)
        await #expect(throws: BlockingPool.Refusal.stopped) { try await engine.blocking {} }
        // And again.
        try await engine.start()
        #expect(try await engine.blocking { 5 } == 5)
        await engine.stop()
    }

    @Test("C30: a pool has as many threads as it may, no more; the maximum can be changed while it runs")
    func blockingSize() async throws {
        var configuration = BlockingPool.Configuration()
        configuration.maximumThreads = 2
        let pool = BlockingPool.running(configuration)
        let (ran, release, two, four) = (Recorder<Int>(), Latch(), Gate(2), Gate(4))
        for number in 0..<5 {
            pool.submit {
                two.arrive()
                four.arrive()
                release.wait()
                ran.add(number)
            }
        }
        await two.wait()
        #expect(pool.threadCount == 2)
        #expect(pool.waitingCount == 3)
        pool.maximumThreads = 4
        await four.wait()
        #expect(pool.threadCount == 4)
        #expect(pool.waitingCount == 1)
        pool.maximumThreads = 1
        release.arrive()
        #expect(await pool.stop() == 0)
        #expect(ran.values.sorted() == [0, 1, 2, 3, 4])
    }

    @Test("a queue that is full refuses, and says so to whoever waits")
    func blockingQueue() async throws {
        var configuration = BlockingPool.Configuration()
        configuration.maximumThreads = 1
        configuration.queueCapacity = 1
        let pool = BlockingPool.running(configuration)
        let (begun, release) = (Gate(), Latch())
        pool.submit {
            begun.arrive()
            release.wait()
        }
        await begun.wait()
        #expect(pool.submit {} == .sent)
        #expect(pool.submit {} == .full)
        await #expect(throws: BlockingPool.Refusal.full) { try await pool.run { 1 } }
        release.arrive()
        #expect(await pool.stop() == 0)
        #expect(BlockingPool.Refusal.full.description.contains("--blocking-queue"))
    }

    @Test("work of a cancelled task is not begun; a stop that gives up drops what waits and tells those who wait")
    func blockingEnds() async throws {
        var configuration = BlockingPool.Configuration()
        configuration.maximumThreads = 1
        let pool = BlockingPool.running(configuration)
        let (begun, release, ran) = (Gate(), Latch(), Recorder<Int>())
        pool.submit {
            begun.arrive()
            release.wait()
        }
        await begun.wait()
        let cancelled = Task { try await pool.run { ran.add(1) } }
        while pool.waitingCount < 1 { await Task.yield() }
        let waiting = Task { try await pool.run { ran.add(1) } }
        while pool.waitingCount < 2 { await Task.yield() }
        cancelled.cancel()
        // At once, though every thread is busy.
        await #expect(throws: CancellationError.self) { try await cancelled.value }
        #expect(await pool.stop(within: .zero) == 3)
        await #expect(throws: BlockingPool.Refusal.stopped) { try await waiting.value }
        release.arrive()
        while pool.threadCount > 0 { await Task.yield() }
        #expect(ran.values.isEmpty)
        let again = BlockingPool.running(configuration)
        let gate = Gate()
        let task = Task {
            await gate.wait()
            return try await again.run { 1 }
        }
        // The gate lets a cancelled task go.
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
        await again.stop()
    }

    @Test("the pool's threads stay off the CPUs of pinned reactors when there are others")
    func blockingPlace() async throws {
        let machine = MachineTopology(reading: SystemFiles())
        try #require(machine.usableCPUs.count > 1, "a machine with two CPUs")
        let engine = try engine(reactors: 1) {
            $0.placement.oversubscribe = false
            $0.placement.pin = .always
        }
        try await engine.start()
        let own = try #require(engine.placement.reactors.first).allowedCPUs
        // Given by the pinned reactor's own thread, whose children would inherit its CPU.
        let cpus = try await engine.reactors[0].execute { _ in
            try await engine.blocking { CPUSet((try? SystemThread.affinity()) ?? []) }
        }
        #expect(cpus == machine.usableCPUs.subtracting(own))
        await engine.stop()
    }

    @Test("a stop that drops work lets go of it outside of its lock: what the work holds may call the pool")
    func blockingDrop() async throws {
        final class Caller: Sendable {
            let pool: BlockingPool
            let log: Recorder<SubmitResult>
            init(_ pool: BlockingPool, _ log: Recorder<SubmitResult>) { (self.pool, self.log) = (pool, log) }
            deinit { log.add(pool.submit {}) }
        }
        var configuration = BlockingPool.Configuration()
        configuration.maximumThreads = 1
        let pool = BlockingPool.running(configuration)
        let (begun, release, log) = (Gate(), Latch(), Recorder<SubmitResult>())
        pool.submit {
            begun.arrive()
            release.wait()
        }
        await begun.wait()
        do {
            let caller = Caller(pool, log)
            pool.submit { _ = caller }
        }
        #expect(await pool.stop(within: .zero) == 2)
        #expect(log.values == [.stopped])
        release.arrive()
        while pool.threadCount > 0 { await Task.yield() }
    }

    @Test("what a pool took just before its stop is done all the same")
    func blockingRace() async throws {
        for _ in 0..<300 {
            let pool = BlockingPool.running()
            let (done, sent) = (Recorder<Int>(), Recorder<SubmitResult>())
            async let submitting: Void = Task.detached { sent.add(pool.submit { done.add(1) }) }.value
            async let stopping: Void = Task.detached { _ = await pool.stop(within: .seconds(5)) }.value
            _ = await (submitting, stopping)
            #expect(done.values.count == (sent.values == [.sent] ? 1 : 0))
        }
    }
}
