// SPDX-License-Identifier: Apache-2.0

import Spindle
import SpindleProtocols
import SpindleReactor
import SpindleSimulation
import SpindleTesting
import Testing

@Suite("connection pool", .serialized, .timeLimit(.minutes(1)))
struct ConnectionPoolTests {
    /// Lines that come back; `bye` closes, `twice` answers with two lines.
    private final class Server: FramedProtocol {
        let transport: any StreamTransport
        let framing = Framing(LineFormat())
        init(_ transport: any StreamTransport) { self.transport = transport }
        func frameReceived(_ frame: Span<UInt8>) {
            let text = ByteChunk(copying: frame).text
            transport.write(text + "\n")
            if text == "twice" { transport.write("more\n") }
            if text == "bye" { transport.loseConnection() }
        }
    }

    private static func ask(_ connection: StreamConnection, _ line: String) async throws -> String {
        try await connection.write(line + "\n")
        let reader = connection.frames(LineFormat())
        return try await reader.next()?.text ?? "nothing"
    }

    /// Runs `body` on a reactor with a pool for a server of that engine.
    private func withPool(
        _ change: (inout ConnectionPool.Configuration) -> Void = { _ in },
        _ body: nonisolated(nonsending) @escaping @Sendable (ConnectionPool, Engine) async throws -> Void
    ) async throws {
        try await withPools(change) { pools, engine in
            try await pools.invoke(on: 0) { pool in try await body(pool, engine) }
        }
    }

    private func withPools(
        _ change: (inout ConnectionPool.Configuration) -> Void,
        _ body: (Sharded<ConnectionPool>, Engine) async throws -> Void
    ) async throws {
        var engineConfiguration = EngineConfiguration()
        engineConfiguration.placement.cores = .count(1)
        let engine = try Engine(engineConfiguration, log: SilentLog())
        let address = try engine.listen(on: .loopback(port: 0)) { Server($0) }.address
        try await engine.start()
        var configuration = ConnectionPool.Configuration()
        change(&configuration)
        let pools = engine.makeSharded { [configuration] _ in
            ConnectionPool(to: .address(address), configuration: configuration)
        }
        try await body(pools, engine)
        await engine.stop(deadline: .seconds(1))
    }

    private static nonisolated(nonsending) func refusal(_ pool: ConnectionPool) async -> ConnectionPool.Refusal? {
        do { try await pool.withConnection { _ in } } catch { return error as? ConnectionPool.Refusal }
        return nil
    }

    private static func accepted(_ engine: Engine) -> UInt64 { engine.snapshot()[.accepted] }

    @Test("a connection is used again, one after the other")
    func reuse() async throws {
        try await withPool { pool, engine in
            for number in 0..<10 {
                let answer = try await pool.withConnection { try await ConnectionPoolTests.ask($0, "line \(number)") }
                #expect(answer == "line \(number)")
            }
            #expect(ConnectionPoolTests.accepted(engine) == 1 && pool.connectionCount == 1 && pool.idleCount == 1)
        }
    }

    @Test("there are never more connections than may be; who comes later waits and is served")
    func limit() async throws {
        try await withPools {
            $0.maximumConnections = 3
        } _: { pools, engine in
            let answers = try await withThrowingTaskGroup(of: String.self) { group in
                for number in 0..<12 {
                    group.addTask {
                        try await pools.invoke(on: 0) { pool in
                            try await pool.withConnection { try await ConnectionPoolTests.ask($0, "\(number)") }
                        }
                    }
                }
                return try await group.reduce(into: Set<String>()) { $0.insert($1) }
            }
            #expect(answers == Set((0..<12).map { "\($0)" }))
            let counts = try await pools.invoke(on: 0) { [$0.connectionCount, $0.idleCount, $0.waitingCount] }
            #expect(ConnectionPoolTests.accepted(engine) == 3 && counts == [3, 3, 0])
        }
    }

    @Test("who finds no place to wait is refused, and who waits too long, too; both leave the pool as it was")
    func refusals() async throws {
        try await withPool {
            $0.maximumConnections = 1
            $0.maximumWaiting = 1
            $0.waitTimeout = .milliseconds(20)
        } _: { pool, engine in
            try await pool.withConnection { connection in
                #expect(await ConnectionPoolTests.refusal(pool) == .timedOut)
                #expect(pool.waitingCount == 0)
                let answer = try await ConnectionPoolTests.ask(connection, "still mine")
                #expect(answer == "still mine")
            }
            #expect(pool.idleCount == 1 && pool.connectionCount == 1)
        }
        try await withPool {
            $0.maximumConnections = 1
            $0.maximumWaiting = 0
        } _: { pool, _ in
            try await pool.withConnection { _ in
                #expect(await ConnectionPoolTests.refusal(pool) == .full)
            }
        }
    }

    @Test("a connection that the server has closed, that has something to say, or whose user threw, is not lent again")
    func unusable() async throws {
        struct Planned: Error {}
        try await withPool { pool, engine in
            _ = try await pool.withConnection { try await ConnectionPoolTests.ask($0, "bye") }
            // The end comes with the next events at the latest: another exchange with the server passes them.
            try await engine.withConnection(to: pool.target, on: engine.reactors[0]) { other in
                _ = try await ConnectionPoolTests.ask(other, "x")
            }
            let first = try await pool.withConnection { try await ConnectionPoolTests.ask($0, "a") }
            #expect(first == "a" && pool.connectionCount == 1)
            do { try await pool.withConnection { _ in throw Planned() } } catch { #expect(error is Planned) }
            #expect(pool.connectionCount == 0 && pool.idleCount == 0)
            let second = try await pool.withConnection { try await ConnectionPoolTests.ask($0, "b") }
            #expect(second == "b")
            pool.closeIdle()
            #expect(pool.connectionCount == 0)
        }
    }

    @Test("what comes back while the engine drains is closed and not kept, and so is what nobody used")
    func drain() async throws {
        try await withPool { pool, _ in
            try await pool.withConnection { _ in }
            #expect(pool.idleCount == 1)
            try await pool.withConnection { first in
                try await pool.withConnection { _ in }
                #expect(pool.idleCount == 1 && pool.connectionCount == 2)
                Reactor.current?.drain {}
                #expect(pool.idleCount == 0 && pool.connectionCount == 1)
            }
            #expect(pool.idleCount == 0 && pool.connectionCount == 0)
        }
    }

    @Test("a connection that nobody has used for the idle time is closed, and no sooner")
    func idleTime() throws {
        // Sendable: all of a simulation runs on the test's own thread.
        final class Held: @unchecked Sendable { var pool: ConnectionPool? }
        let network = SimulatedNetwork()
        let scheduler = SimulatedScheduler(reactorCount: 1, network: network)
        let held = Held()
        let back = try scheduler.listen(at: .loopback(port: 0)) { _ in ClosureFactory { Server($0) } }
        let front = try scheduler.listen(at: .loopback(port: 0)) { _ in
            ClosureFactory { transport in
                HandlerProtocol(transport) { connection in
                    let pool = ConnectionPool(to: .address(back))
                    held.pool = pool
                    _ = try await pool.withConnection { try await ConnectionPoolTests.ask($0, "x") }
                    _ = try await connection.read()
                }
            }
        }
        let client = network.connect(to: front)
        func settle(_ duration: Duration) {
            let end = network.now.advanced(by: duration)
            scheduler.run(noLaterThan: end)
            network.advance(to: end)
            scheduler.run(noLaterThan: end)
        }
        settle(.zero)
        #expect(held.pool?.idleCount == 1)
        settle(.seconds(59))
        #expect(held.pool?.idleCount == 1)
        settle(.seconds(2))
        #expect(held.pool?.idleCount == 0 && held.pool?.connectionCount == 0)
        client.close()
        scheduler.endAllConnections()
        scheduler.stopListening()
        scheduler.run()
    }

    @Test("a server that can't be reached is an error, and leaves room for the next try")
    func unreachable() async throws {
        try await withPool {
            $0.maximumConnections = 1
        } _: { pool, engine in
            let nobody = ConnectionPool(to: .address(.unix("/nowhere")))
            for _ in 0..<3 {
                do {
                    try await nobody.withConnection { _ in }
                    Issue.record("connected to nobody")
                } catch { #expect(error is ConnectError) }
                #expect(nobody.connectionCount == 0)
            }
        }
    }

    @Test("who waits and is cancelled goes on at once")
    func cancelled() async throws {
        try await withPools {
            $0.maximumConnections = 1
            $0.waitTimeout = .seconds(60)
        } _: { pools, engine in
            try await withThrowingTaskGroup(of: Void.self) { group in
                let task = Task {
                    try await pools.invoke(on: 0) { pool in
                        while pool.connectionCount == 0 { await Task.yield() }
                        try await pool.withConnection { _ in }
                    }
                }
                group.addTask {
                    try await pools.invoke(on: 0) { pool in
                        try await pool.withConnection { connection in
                            while pool.waitingCount == 0 { await connection.yield() }
                            task.cancel()
                            while pool.waitingCount > 0 { await connection.yield() }
                        }
                    }
                }
                await #expect(throws: CancellationError.self) { try await task.value }
                try await group.waitForAll()
            }
        }
    }
}
