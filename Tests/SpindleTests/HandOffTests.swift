// SPDX-License-Identifier: Apache-2.0

import Spindle
import SpindleSimulation
import SpindleSystem
import Testing

/// Connections that move between cores, on real sockets and as tasks.
extension EngineTests {
    /// Reads a word that says which shard the client wants, and goes on there.
    private final class Router: StreamProtocol {
        let transport: any StreamTransport
        let engine: Engine
        let log: Recorder<String>

        init(_ transport: any StreamTransport, _ engine: Engine, _ log: Recorder<String>) {
            (self.transport, self.engine, self.log) = (transport, engine, log)
        }

        func dataReceived(_ bytes: Span<UInt8>) {
            let shard = Int(bytes[0] - UInt8(ascii: "0"))
            transport.write("to \(shard): ")
            let rest = ByteChunk(copying: bytes.extracting(droppingFirst: 1))
            let hasLeft = transport.handOff(to: engine.reactors[shard], unread: rest) { [log] in Resident($0, log) }
            #expect(hasLeft && !transport.isWritable)
            let again = transport.handOff(to: engine.reactors[shard]) { _ in nil }
            #expect(!again)
        }

        func connectionLost(_ reason: DisconnectReason) { log.add("\(reason)") }
    }

    /// Echoes, and says where.
    private final class Resident: StreamProtocol {
        let transport: any StreamTransport
        let log: Recorder<String>
        init(_ transport: any StreamTransport, _ log: Recorder<String>) {
            (self.transport, self.log) = (transport, log)
        }
        func connectionMade() { transport.write("[\(Reactor.current?.index ?? -1)]") }
        func dataReceived(_ bytes: Span<UInt8>) { transport.write(bytes) }
        func connectionLost(_ reason: DisconnectReason) { log.add("\(reason)") }
    }

    @Test("a connection is handed to the core that its first bytes name; the rest of them arrives there")
    func routed() async throws {
        let engine = try engine(reactors: 3)
        let log = Recorder<String>()
        let address = try engine.listen(on: .loopback(port: 0)) { [unowned engine] in Router($0, engine, log) }.address
        try await engine.start()
        let client = try await Client()
        let long = [UInt8](repeating: UInt8(ascii: "x"), count: 300_000)
        for shard in 0..<3 {
            let outcome = await client.exchange(Array("\(shard)hello".utf8) + long, with: address)
            #expect(outcome.received == Array("to \(shard): [\(shard)]hello".utf8) + long)
            #expect(outcome.reason.map { "\($0)" } == "done")
        }
        #expect(engine.snapshot()[.handedOff] == 3)
        await client.stop()
        await engine.stop()
        #expect(
            log.values.sorted() == ["done", "done", "done"] + Array(repeating: "handed to another reactor", count: 3)
        )
        #expect(engine.snapshot()[.openConnections] == 0)
    }

    @Test("a handler hands its connection on; the next one goes on where it stopped, on the other core")
    func handedOffHandlers() async throws {
        let engine = try engine(reactors: 2)
        let (log, handles) = (Recorder<String>(), Guarded<[ReactorHandle]>([]))
        let address = try engine.serve(on: .loopback(port: 0)) { connection in
            guard let first = try await connection.read() else { return }
            try await connection.write("one ")
            let target = handles.withLock { $0[1 - connection.reactor.index] }
            let hasLeft = connection.handOff(to: target, unread: first) { connection in
                #expect(connection.reactor === target)
                while try await connection.read({ connection.write($0) }) != nil {}
            }
            #expect(hasLeft)
            do { _ = try await connection.read() } catch { log.add("\(error)") }
        }.address
        try await engine.start()
        handles.withLock { $0 = engine.reactors }
        let client = try await Client()
        for _ in 0..<4 {
            let outcome = await client.exchange(Array("and two".utf8), with: address)
            #expect(String(decoding: outcome.received, as: UTF8.self) == "one and two")
        }
        await client.stop()
        await engine.stop()
        #expect(
            log.values.count == 4 && log.values.allSatisfy { $0.contains("handed to another reactor") },
            "\(log.values)"
        )
    }

    @Test("handed to a reactor that has no room, the connection is reset; to one that has stopped, it stays")
    func handedOffInVain() async throws {
        let simulation = try EngineTests.Simulation(reactors: 2, allToFirst: true) { $0.limits.maximumConnections = 1 }
        let (engine, log) = (simulation.engine, Recorder<String>())
        let stopped = try SpindleTests.engine(reactors: 1)
        try await stopped.start()
        let gone = stopped.reactors[0]
        await stopped.stop()
        let address = try engine.listen(on: .loopback(port: 0)) { [unowned engine] transport in
            let router = Router(transport, engine, log)
            let hasLeft = transport.handOff(to: gone) { _ in nil }
            #expect(!hasLeft)
            return router
        }.address
        try await engine.start()
        let first = simulation.network.connect(to: address)
        first.send("1a")
        await simulation.wait(for: "it moved") { first.unreadByteCount == "to 1: [1]a".utf8.count }
        let second = simulation.network.connect(to: address)
        second.send("1b")
        await simulation.wait(for: "it was reset") { second.error != nil }
        #expect(engine.snapshot()[.refused] == 1)
        first.send("c")
        await simulation.wait(for: "it lives") { first.unreadByteCount == "to 1: [1]ac".utf8.count }
        await simulation.finish()
    }

    @Test("a stop finds handed-off connections wherever they are: nothing is left, and every protocol is told")
    func handedOffWhileStopping() async throws {
        for round in 0..<20 {
            let simulation = try EngineTests.Simulation(reactors: 4)
            let (engine, log) = (simulation.engine, Recorder<String>())
            let address = try engine.listen(on: .loopback(port: 0)) { [unowned engine] in
                Router($0, engine, log)
            }.address
            try await engine.start()
            let peers = (0..<16).map { _ in simulation.network.connect(to: address) }
            for (number, peer) in peers.enumerated() { peer.send("\(number % 4)x") }
            for _ in 0..<round { await Task.yield() }
            await engine.stop(deadline: .zero)
            simulation.network.advance(by: .seconds(60))
            #expect(simulation.network.openDescriptorCount == 0)
        }
    }

    @Test("unsent bytes of a connection that nobody goes on with are lost visibly: the peer sees a reset, not an end")
    func handedOffToNobody() async throws {
        final class Quitter: StreamProtocol {
            let transport: any StreamTransport
            let target: ReactorHandle
            init(_ transport: any StreamTransport, _ target: ReactorHandle) {
                (self.transport, self.target) = (transport, target)
            }
            func dataReceived(_ bytes: Span<UInt8>) {
                transport.write([UInt8](repeating: 7, count: 1 << 20))
                transport.handOff(to: target) { _ in nil }
            }
        }
        let simulation = try EngineTests.Simulation(reactors: 2, allToFirst: true)
        let engine = simulation.engine
        let address = try engine.listen(on: .loopback(port: 0)) { [unowned engine] in
            Quitter($0, engine.reactors[1])
        }.address
        try await engine.start()
        let peer = simulation.network.connect(to: address)
        peer.send("x")
        await simulation.wait(for: "the reset") { peer.error != nil }
        await simulation.finish()
    }
}
