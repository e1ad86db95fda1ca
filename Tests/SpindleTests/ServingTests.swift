// SPDX-License-Identifier: Apache-2.0

import Spindle
import SpindleSimulation
import SpindleSystem
import Synchronization
import Testing

/// Connections that are served by tasks.
extension EngineTests {
    @Test("a handler sends back what it gets, byte for byte, over real sockets", arguments: reactorCounts)
    func handlerEchoes(reactors: Int) async throws {
        let server = try engine(reactors: reactors)
        let address = try server.serve(on: .loopback(port: 0)) { connection in
            while try await connection.read({ connection.write($0) }) != nil {}
        }.address
        try await server.start()
        let client = try await Client()
        for count in [0, 1, 65_536, 3_000_000] {
            let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) }
            let outcome = await client.exchange(bytes, with: address)
            #expect(outcome.received == bytes)
            #expect(outcome.reason.map { "\($0)" } == "done")
        }
        await client.stop()
        await server.stop()
        #expect(server.phase == .idle)
    }

    @Test("chunks outlive the read that brought them, and waiting writes send them", arguments: reactorCounts)
    func handlerKeepsChunks(reactors: Int) async throws {
        let simulation = try Simulation(reactors: reactors)
        let address = try simulation.engine.serve(on: .loopback(port: 0)) { connection in
            var chunks: [ByteChunk] = []
            while let chunk = try await connection.read() { chunks.append(chunk) }
            for chunk in chunks.reversed() { try await connection.write(chunk) }
            try await connection.write([1, 2])
            try await connection.write("end")
        }.address
        try await simulation.engine.start()
        let peer = simulation.network.connect(to: address)
        for text in ["a", "b"] {
            let before = simulation.engine.snapshot()[.messages]
            peer.send(text)
            await simulation.wait(for: "it is read") { simulation.engine.snapshot()[.messages] == before + 1 }
        }
        peer.shutdownWrites()
        #expect(await simulation.everything(from: peer) == Array("ba\u{1}\u{2}end".utf8))
        await simulation.finish()
    }

    @Test("chunks: a loop over them gets every byte, on its reactor, and ends with the peer's end", arguments: [1, 2])
    func handlerLoopsOverChunks(reactors: Int) async throws {
        let server = try engine(reactors: reactors)
        let address = try server.serve(on: .loopback(port: 0)) { connection in
            let home = connection.reactor
            for try await chunk in connection.chunks {
                #expect(Reactor.current?.handle === home)
                try await connection.write(chunk)
            }
            try await connection.write(".")
        }.address
        try await server.start()
        let client = try await Client()
        let bytes = (0..<500_000).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) }
        #expect(await client.exchange(bytes, with: address).received == bytes + [UInt8(ascii: ".")])
        await client.stop()
        await server.stop()
    }

    @Test("N1: a handler is on its connection's reactor after every await, whatever it waits for", arguments: [1, 2])
    func handlerStays(reactors: Int) async throws {
        let simulation = try Simulation(reactors: reactors)
        let strayed = Atomic(0)
        let address = try simulation.engine.serve(on: .loopback(port: 0)) { connection in
            let home = connection.reactor
            func look() { if Reactor.current?.handle !== home { strayed.add(1, ordering: .relaxed) } }
            look()
            while try await connection.read({ connection.write($0) }) != nil {
                look()
                await Task.yield()
                look()
                await Elsewhere().visit()
                look()
                await helper()
                look()
                await isolatedToNothing()
                look()
                await connection.yield()
                look()
                // tidy: allow banned: Swift's own clock ends it, on another thread; how long it takes is nothing to it
                try await Task.sleep(for: .nanoseconds(1))
                look()
                await withTaskGroup(of: Void.self) { group in
                    group.addTask { await Task.yield() }
                    await group.waitForAll()
                }
                look()
            }
        }.address
        try await simulation.engine.start()
        let peers = (0..<6).map { _ in simulation.network.connect(to: address) }
        for round in 1...5 {
            for peer in peers { peer.send("x") }
            await simulation.wait(for: "all have echoed") { peers.allSatisfy { $0.unreadByteCount == round } }
        }
        for peer in peers { peer.shutdownWrites() }
        for peer in peers { #expect(await simulation.everything(from: peer).count == 5) }
        #expect(strayed.load(ordering: .relaxed) == 0)
        await simulation.finish()
    }

    private actor Elsewhere { func visit() {} }

    @Test("what a handler does not ask for stays in the kernel")
    func readsNothingAhead() async throws {
        let simulation = try Simulation(reactors: 1)
        let began = Gate()
        let mayRead = Gate()
        let address = try simulation.engine.serve(on: .loopback(port: 0)) { connection in
            began.arrive()
            await mayRead.wait()
            while try await connection.read({ connection.write($0) }) != nil {}
        }.address
        try await simulation.engine.start()
        let peer = simulation.network.connect(to: address)
        peer.send("asked for later")
        await began.wait()
        let turns = simulation.engine.snapshot()[.turns]
        await simulation.wait(for: "some turns pass") { simulation.engine.snapshot()[.turns] > turns + 100 }
        #expect(simulation.engine.snapshot()[.bytesReceived] == 0)
        mayRead.arrive()
        await simulation.wait(for: "it comes back") { peer.unreadByteCount == "asked for later".utf8.count }
        await simulation.finish()
    }

    @Test("a write waits above the high watermark, and goes on when the peer has read down to the low one")
    func writeWaits() async throws {
        let simulation = try Simulation(reactors: 1)
        let high = simulation.engine.configuration.limits.writeHighWatermarkBytes
        let size = 40 * high
        let isWritten = Atomic(false)
        let address = try simulation.engine.serve(on: .loopback(port: 0)) { connection in
            try await connection.write([UInt8](repeating: 7, count: size))
            isWritten.store(true, ordering: .releasing)
        }.address
        try await simulation.engine.start()
        let peer = simulation.network.connect(to: address)
        await simulation.wait(for: "it waits") { simulation.engine.snapshot()[.bufferedBytes] > high }
        var received = 0
        await simulation.wait(for: "the end") {
            #expect(simulation.engine.snapshot()[.bufferedBytes] <= 2 * high)
            received += peer.receive().count
            return peer.isAtEnd
        }
        #expect(received == size && isWritten.load(ordering: .acquiring))
        #expect(simulation.engine.snapshot()[.writeLimitAborts] == 0)
        await simulation.finish()
    }

    @Test("an echo without waiting writes is bounded: reading waits while the peer does not read")
    func echoIsBounded() async throws {
        let simulation = try Simulation(reactors: 1)
        let address = try simulation.engine.serve(on: .loopback(port: 0)) { connection in
            while try await connection.read({ connection.write($0) }) != nil {}
        }.address
        try await simulation.engine.start()
        let limits = simulation.engine.configuration.limits
        let peer = simulation.network.connect(to: address)
        let chunk = [UInt8](repeating: 1, count: 64 << 10)
        for _ in 0..<64 { peer.send(chunk) }
        await simulation.wait(for: "it is full") {
            simulation.engine.snapshot()[.bufferedBytes] > limits.writeHighWatermarkBytes
        }
        let turns = simulation.engine.snapshot()[.turns]
        await simulation.wait(for: "some turns pass") { simulation.engine.snapshot()[.turns] > turns + 100 }
        #expect(
            simulation.engine.snapshot()[.bufferedBytes] <= limits.writeHighWatermarkBytes + limits.readBudgetBytes
        )
        var received = 0
        await simulation.wait(for: "all comes back") {
            received += peer.receive().count
            return received == 64 * chunk.count
        }
        await simulation.finish()
    }

    @Test("the end of the peer's bytes is nil, and what is written after it arrives")
    func halfClose() async throws {
        let simulation = try Simulation(reactors: 1)
        let reads = Recorder<Int>()
        let address = try simulation.engine.serve(on: .loopback(port: 0)) { connection in
            while let count = try await connection.read({ $0.count }) { reads.add(count) }
            #expect(try await connection.read { $0.count } == nil, "the end stays the end")
            try await connection.write("answer")
            connection.closeWriting()
        }.address
        try await simulation.engine.start()
        let peer = simulation.network.connect(to: address)
        peer.send("question")
        peer.shutdownWrites()
        #expect(await simulation.everything(from: peer) == Array("answer".utf8))
        #expect(reads.values == [8])
        await simulation.finish()
    }
}

@concurrent private func isolatedToNothing() async { await Task.yield() }

/// Isolated to its caller.
private nonisolated(nonsending) func helper() async { await Task.yield() }
