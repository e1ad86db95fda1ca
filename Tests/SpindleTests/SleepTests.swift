// SPDX-License-Identifier: Apache-2.0

import Spindle
import SpindleSimulation
import Synchronization
import Testing

/// Time for tasks on reactors: that of the simulation, which stands still between `advance`s.
extension EngineTests {
    @Test("a sleep on a reactor's clock lasts as long as the simulation says, never shorter", arguments: [1, 2])
    func sleepInSimulatedTime(reactors: Int) async throws {
        let simulation = try Simulation(reactors: reactors)
        try await simulation.engine.start()
        let woken = Recorder<Int>()
        let asleep = Gate(3)
        let handle = simulation.engine.reactors[reactors - 1]
        let tasks = [30, 10, 20].map { seconds in
            Task {
                try await handle.execute { _ in
                    let clock = ReactorClock(handle)
                    let start = clock.now
                    asleep.arrive()
                    // tidy: allow banned: the clock is the simulation\'s, and is what is tested
                    try await clock.sleep(until: start.advanced(by: .seconds(seconds)))
                    #expect(start.duration(to: clock.now) >= .seconds(seconds))
                    woken.add(seconds)
                }
            }
        }
        await asleep.wait()
        simulation.network.advance(by: .seconds(9))
        let turns = simulation.engine.snapshot()[.turns]
        await simulation.wait(for: "some turns pass") { simulation.engine.snapshot()[.turns] > turns + 100 }
        #expect(woken.values.isEmpty)
        for count in 1...3 {
            simulation.network.advance(by: .seconds(10))
            await simulation.wait(for: "one wakes") { woken.values.count >= count }
        }
        #expect(woken.values == [10, 20, 30])
        for task in tasks { try await task.value }
        await simulation.finish()
    }

    @Test("a sleep ends with an error when its task is cancelled, and when the reactor stops", arguments: [1, 2])
    func sleepEnds(reactors: Int) async throws {
        let simulation = try Simulation(reactors: reactors)
        try await simulation.engine.start()
        let clock = ReactorClock(simulation.engine.reactors[0])
        // tidy: allow banned: the clock is the simulation\'s, and is what is tested
        let cancelled = Task { try await clock.sleep(for: .seconds(100)) }
        await Task.yield()
        cancelled.cancel()
        await #expect(throws: CancellationError.self) { try await cancelled.value }
        let early = Task {
            unsafe withUnsafeCurrentTask { unsafe $0?.cancel() }
            // tidy: allow banned: the clock is the simulation\'s, and is what is tested
            try await clock.sleep(for: .seconds(100))
        }
        await #expect(throws: CancellationError.self) { try await early.value }
        let began = Gate()
        let left = Task {
            try await clock.reactor.execute { _ in
                began.arrive()
                // tidy: allow banned: the clock is the simulation\'s, and is what is tested
                try await clock.sleep(for: .seconds(100))
            }
        }
        await began.wait()
        await simulation.engine.stop(deadline: .zero)
        await #expect(throws: CancellationError.self) { try await left.value }
        // tidy: allow banned: the clock is the simulation\'s, and is what is tested
        await #expect(throws: CancellationError.self) { try await clock.sleep(for: .seconds(100)) }
        await simulation.finish()
    }

    @Test("a read beyond its time limit is an error of the limit, and the connection lives on")
    func timeLimit() async throws {
        let simulation = try Simulation(reactors: 1)
        let outcomes = Recorder<String>()
        let address = try simulation.engine.serve(on: .loopback(port: 0)) { connection in
            do {
                _ = try await connection.withTimeout(.seconds(5)) { connection in try await connection.read { $0.count }
                }
            } catch { outcomes.add("\(error)") }
            let count = try await connection.withTimeout(.seconds(5)) { connection in
                try await connection.read { $0.count }
            }
            outcomes.add("\(count ?? 0) bytes")
            do {
                try await connection.withTimeout(.seconds(5)) { _ in throw Failing() }
            } catch { outcomes.add("\(error)") }
            try await connection.write("done")
        }.address
        try await simulation.engine.start()
        let peer = simulation.network.connect(to: address)
        await simulation.wait(for: "it has begun") { simulation.engine.snapshot()[.liveProtocols] == 1 }
        await simulation.wait(for: "the time is over") {
            simulation.network.advance(by: .seconds(1))
            return outcomes.values.count == 1
        }
        peer.send("four")
        #expect(await simulation.everything(from: peer) == Array("done".utf8))
        #expect(outcomes.values == ["timed out after 5.0 seconds", "4 bytes", "Failing()"])
        await simulation.finish()
    }

    private struct Failing: Error {}
}
