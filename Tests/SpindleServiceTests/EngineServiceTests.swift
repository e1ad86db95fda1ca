// SPDX-License-Identifier: Apache-2.0

import Logging
import ServiceLifecycle
import Spindle
import SpindleService
import SpindleSystem
import Testing

/// Says when it begins and ends.
private struct Witness: Service {
    let name: String
    let lines: Guarded<[String]>
    func run() async throws {
        lines.withLock { $0.append("\(name) runs") }
        try? await gracefulShutdown()
        lines.withLock { $0.append("\(name) ends") }
    }
}

@Suite("EngineService in a ServiceGroup", .timeLimit(.minutes(1))) struct EngineServiceTests {
    private func engine() throws -> Engine {
        var configuration = EngineConfiguration()
        configuration.placement.cores = .count(1)
        return try Engine(configuration)
    }

    private func group(_ services: [any Service]) -> ServiceGroup {
        ServiceGroup(services: services, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    }

    @Test("C51: a group runs the engine, and drains it in the reverse order of its list, waiting for all")
    func graceful() async throws {
        let (engine, lines) = (try engine(), Guarded<[String]>([]))
        engine.addStartupTrigger(.after) { lines.withLock { $0.append("engine runs") } }
        engine.addShutdownTrigger(.after) { lines.withLock { $0.append("engine ends") } }
        let group = group([Witness(name: "first", lines: lines), EngineService(engine)])
        let running = Task { try await group.run() }
        while engine.phase != .running || lines.withLock(\.count) < 2 { await Task.yield() }
        await group.triggerGracefulShutdown()
        try await running.value
        #expect(engine.phase == .idle)
        #expect(lines.withLock { Array($0.suffix(2)) } == ["engine ends", "first ends"])
        #expect(lines.withLock { Set($0.prefix(2)) } == ["engine runs", "first runs"])
    }

    @Test("a start that fails ends the group with its error")
    func failedStart() async throws {
        struct NoDisk: Error {}
        let engine = try engine()
        engine.addStartupTrigger(.before) { throw NoDisk() }
        await #expect(throws: NoDisk.self) { try await group([EngineService(engine)]).run() }
        #expect(engine.phase == .idle)
    }

    @Test("a cancelled group stops the engine at once")
    func cancelled() async throws {
        let engine = try engine()
        let running = Task { try await EngineService(engine, drainTimeout: .seconds(60)).run() }
        while engine.phase != .running { await Task.yield() }
        running.cancel()
        await #expect(throws: CancellationError.self) { try await running.value }
        #expect(engine.phase == .idle)
    }
}
