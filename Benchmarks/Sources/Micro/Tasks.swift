// SPDX-License-Identifier: Apache-2.0

import Spindle

/// What tasks, actors and hops cost on reactors.
enum Tasks {
    /// State on a reactor.
    private actor Counter {
        private let reactor: ReactorHandle
        private var count = 0
        nonisolated var unownedExecutor: UnownedSerialExecutor { reactor.asUnownedSerialExecutor() }
        init(_ reactor: ReactorHandle) { self.reactor = reactor }
        func add() -> Int {
            count += 1
            return count
        }
    }

    private static func nanoseconds(_ count: Int, _ clock: ContinuousClock.Instant) -> Double {
        let elapsed = (ContinuousClock.now - clock).components
        return (Double(elapsed.seconds) * 1e9 + Double(elapsed.attoseconds) / 1e9) / Double(count)
    }

    static func run(_ arguments: Arguments) async throws -> Figures {
        let count = arguments.number("times", default: 200_000)
        let pair = try TwoReactors(idleSpin: .seconds(60))
        try await pair.engine.start()
        let handles = pair.engine.reactors
        let counter = Counter(handles[0])
        let isolated = await handles[0].execute { _ in
            let start = ContinuousClock.now
            for _ in 0..<count { _ = await counter.add() }
            return nanoseconds(count, start)
        }
        let preferring = await Task(executorPreference: handles[0]) {
            let start = ContinuousClock.now
            for _ in 0..<count { _ = await counter.add() }
            return nanoseconds(count, start)
        }.value
        let creation = await handles[0].execute { _ in
            let start = ContinuousClock.now
            // Batches, so that tasks end as others begin.
            for _ in 0..<count / 100 {
                await withTaskGroup(of: Void.self) { group in
                    for _ in 0..<100 { group.addTask(executorPreference: handles[0]) {} }
                }
            }
            return nanoseconds(count / 100 * 100, start)
        }
        let (started, startedAndEnded) = await handles[0].execute { isolation in
            var creating = Duration.zero
            let start = ContinuousClock.now
            for _ in 0..<count / 100 {
                let begin = ContinuousClock.now
                let tasks = (0..<100).map { _ in Task { _ = isolation } }
                creating += ContinuousClock.now - begin
                for task in tasks { await task.value }
            }
            return (creating / .nanoseconds(1) / Double(count / 100 * 100), nanoseconds(count / 100 * 100, start))
        }
        let hop = await handles[0].execute { _ in
            let start = ContinuousClock.now
            // Something to do there: the compiler leaves out the way to a place where nothing is done.
            var sum = 0
            for _ in 0..<count { sum += await handles[1].execute { _ in Reactor.current?.index ?? -1 } }
            precondition(sum == count, "a hop did not get there")
            return nanoseconds(count, start)
        }
        await pair.engine.stop(deadline: .seconds(1))
        return [
            "isolated": isolated, "preferring": preferring, "creation": creation, "start": started,
            "startAndEnd": startedAndEnded, "hop": hop,
        ]
    }
}
