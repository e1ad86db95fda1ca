// SPDX-License-Identifier: Apache-2.0

import SpindleDeferred
import SpindleSystem
import SpindleTesting
import Testing

@Suite("Deferreds, and engines that stop", .timeLimit(.minutes(1))) struct DeferredEndsTests {
    private func engine(_ change: (inout EngineConfiguration) -> Void = { _ in }) throws -> Engine {
        var configuration = EngineConfiguration()
        configuration.placement.cores = .count(1)
        change(&configuration)
        return try Engine(configuration)
    }

    @Test("a task whose result comes after the stop ends its chain, timeout and all")
    func late() async throws {
        let engine = try engine()
        try await engine.start()
        let (begun, gate, ended) = (AsyncGate(), AsyncGate(), AsyncGate())
        engine.callWhenRunning { reactor in
            Deferred<Int>.run(on: reactor) {
                begun.open()
                await gate.wait()
                return 1
            }
            .addTimeout(.seconds(30), on: reactor)
            .whenCalled { if case .success(1) = $0 { ended.open() } }
        }
        await begun.wait()
        await engine.stop()
        gate.open()
        await ended.wait()
    }

    @Test("value() throws when its reactor ends before the result comes; a cancellation gets through a full inbox")
    func value() async throws {
        let engine = try engine { $0.limits.inboxCapacity = 1 }
        try await engine.start()
        let (handle, waiting) = (engine.reactors[0], AsyncGate())
        let cancelled = Task {
            try await handle.execute { _ in
                waiting.open()
                return try await Deferred<Int>().value()
            }
        }
        await waiting.wait()
        let (stalled, goOn) = (AsyncGate(), Latch())
        handle.submit {
            stalled.open()
            goOn.wait()
        }
        await stalled.wait()
        while handle.submit({}) == .sent {}
        cancelled.cancel()
        goOn.arrive()
        await #expect(throws: CancellationError.self) { try await cancelled.value }
        let orphan = Task { try await handle.execute { _ in try await Deferred<Int>().value() } }
        // Behind it: when this has run, it waits.
        await handle.execute { _ in }
        await engine.stop()
        await #expect(throws: CancellationError.self) { try await orphan.value }
    }

    @Test("a repeating call that waits at the stop keeps nothing alive")
    func repeating() async throws {
        let before = Reactor.liveCount
        let (begun, gate, ended) = (AsyncGate(), AsyncGate(), AsyncGate())
        do {
            let engine = try engine()
            try await engine.start()
            engine.callWhenRunning { reactor in
                reactor.callRepeatedly(
                    every: .milliseconds(5),
                    immediately: true,
                    waitingFor: { _ in
                        begun.open()
                        await gate.wait()
                        ended.open()
                    }
                )
            }
            await begun.wait()
            await engine.stop()
            gate.open()
            await ended.wait()
        }
        while Reactor.liveCount > before { await Task.yield() }
    }
}

/// Opens once; tasks that wait go on then.
private final class AsyncGate: Sendable {
    private let (stream, continuation) = AsyncStream.makeStream(of: Void.self)
    func open() { continuation.finish() }
    func wait() async { for await _ in stream {} }
}
