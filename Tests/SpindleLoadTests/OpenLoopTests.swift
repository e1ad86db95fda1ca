// SPDX-License-Identifier: Apache-2.0

import Histogram
import Spindle
import Testing

@testable import SpindleLoad

@Suite("Open loop", .serialized, .timeLimit(.minutes(1)))
struct OpenLoopTests {
    /// An echo server whose answers wait for the end of a stall, when one is on.
    private final class Stalling: StreamProtocol {
        let transport: any StreamTransport
        private let reactor: Reactor
        private let period: UInt64
        private let stall: UInt64
        private var waiting: [UInt8] = []
        private var isStalling = false

        init(_ transport: any StreamTransport, reactor: Reactor, stall: Duration, every period: Duration) {
            self.transport = transport
            self.reactor = reactor
            self.period = UInt64(period / .nanoseconds(1))
            self.stall = UInt64(stall / .nanoseconds(1))
        }

        func dataReceived(_ bytes: Span<UInt8>) {
            waiting += bytes.indices.map { bytes[$0] }
            let phase = reactor.readClock().nanoseconds % period
            guard phase < stall else { return answer() }
            if !isStalling { reactor.callLater(.nanoseconds(Int64(stall - phase))) { self.answer() } }
            isStalling = true
        }

        private func answer() {
            isStalling = false
            transport.write(waiting)
            waiting = []
        }
    }

    private func run(
        stall: Duration,
        every period: Duration = .seconds(1),
        pace: Pace,
        connections: Int = 4,
        depth: Int = 64,
        duration: Duration,
        progress: LoadProgress = LoadProgress()
    ) async throws -> LoadResult {
        var configuration = EngineConfiguration()
        configuration.placement.cores = .count(1)
        configuration.placement.oversubscribe = true
        let server = try Engine(configuration)
        let address = try server.listen(on: .loopback(port: 0)) { transport in
            Reactor.current.map { Stalling(transport, reactor: $0, stall: stall, every: period) }
        }.address
        let generator = try Engine(configuration)
        try await server.start()
        try await generator.start()
        let plan = LoadPlan(
            address: address,
            connections: connections,
            sizes: .constant(32),
            depth: depth,
            pace: pace,
            duration: duration,
            warmup: .zero
        )
        let result: Result<LoadResult, any Error>
        do {
            result = .success(try await LoadGenerator(plan, on: generator, server: server).run(progress: progress))
        } catch {
            result = .failure(error)
        }
        await generator.stop(deadline: .zero)
        await server.stop(deadline: .zero)
        return try result.get()
    }

    @Test(
        "a server that stalls for 100 ms in every second shows in the 99th percentile, though it answers all the rest"
    )
    func stallShows() async throws {
        let result = try await run(
            stall: .milliseconds(100),
            pace: .open(messagesPerSecond: 2000),
            duration: .seconds(2)
        )
        // A tenth of the messages are due in a stall, and wait 50 ms of it on average.
        #expect(result.latency.valueAtPercentile(99) > 80_000_000)
        #expect(result.latency.max >= 95_000_000)
        #expect(result.intervals.count == 2)
        #expect(result.intervals.contains { $0.p99 > 80_000_000 })
    }

    @Test("latency counts from when a message was due: what waits behind the depth is not left out")
    func waitingCounts() async throws {
        // One message on the way at a time, each answered 50 ms later: 20 a second, where 200 are due.
        let result = try await run(
            stall: .milliseconds(50),
            every: .milliseconds(50),
            pace: .open(messagesPerSecond: 200),
            connections: 1,
            depth: 1,
            duration: .seconds(1)
        )
        #expect(result.unsent > 100)
        // However long the second took: one for each 50 ms, and one at either end.
        #expect(Double(result.messages) <= result.elapsed / .milliseconds(50) + 2)
        // The first that was never sent has waited for nearly all of the second.
        #expect(result.latency.max > 700_000_000)
        #expect(result.latency.totalCount > UInt64(result.unsent))
    }

    @Test("all that is due is sent, and comes back, when the server keeps up")
    func keepsUp() async throws {
        // All of the second would fit on the way: however slow the machine is, nothing has to wait.
        let result = try await run(
            stall: .zero,
            pace: .open(messagesPerSecond: 1000),
            depth: 1000,
            duration: .seconds(1)
        )
        #expect(result.unsent == 0)
        // Due in the measured time, which the reactors begin and end a little apart.
        #expect(result.latency.totalCount >= 900)
        #expect(!result.wasEndedEarly)
    }

    @Test(
        "a run that is ended before it measures says so, and ends",
        arguments: [Pace.closed, .open(messagesPerSecond: 500)]
    )
    func endedAtOnce(pace: Pace) async throws {
        let progress = LoadProgress()
        progress.end()
        let error = try await #require(throws: LoadFailure.self) {
            try await run(stall: .zero, pace: pace, depth: 1, duration: .seconds(50), progress: progress)
        }
        guard case .interrupted = error else { throw error }
    }

    @Test(
        "a run that is ended early tells what it has measured so far",
        arguments: [Pace.closed, .open(messagesPerSecond: 500)]
    )
    func endedEarly(pace: Pace) async throws {
        let progress = LoadProgress()
        let watch = Task {
            while !progress.isMeasuring { await Task.yield() }
            let before = progress.messages
            while progress.messages < before + 20 { await Task.yield() }
            progress.end()
        }
        let result = try await run(stall: .zero, pace: pace, depth: 1, duration: .seconds(50), progress: progress)
        await watch.value
        #expect(result.wasEndedEarly)
        #expect(result.messages > 0 && result.elapsed < .seconds(40))
    }
}
