// SPDX-License-Identifier: Apache-2.0

import Spindle
import SpindleSimulation
import SpindleSystem
import Synchronization
import Testing

/// Connections that are served by tasks.
extension EngineTests {
    private struct Refused: Error {}

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
        while !peer.isAtEnd {
            #expect(simulation.engine.snapshot()[.bufferedBytes] <= 2 * high)
            received += peer.receive().count
            await Task.yield()
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
        while received < 64 * chunk.count {
            received += peer.receive().count
            await Task.yield()
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

    @Test("a connection that breaks is an error of the read that waits and of every later call")
    func brokenConnection() async throws {
        let log = CapturedLog()
        let simulation = try Simulation(reactors: 1, log: log)
        let errors = Recorder<String>()
        let address = try simulation.engine.serve(on: .loopback(port: 0)) { connection in
            do { _ = try await connection.read { _ in } } catch { errors.add("\(error)") }
            do { _ = try await connection.read() } catch { errors.add("\(error)") }
            do { try await connection.write("x") } catch { errors.add("\(error)") }
            func writeWithoutWaiting() { connection.write([1].span) }
            writeWithoutWaiting()
            #expect(!connection.isWritable && connection.bufferedByteCount == 0)
            _ = try await connection.read { _ in }
        }.address
        try await simulation.engine.start()
        let peer = simulation.network.connect(to: address)
        await simulation.wait(for: "it is accepted") { simulation.engine.snapshot()[.liveProtocols] == 1 }
        peer.reset()
        await simulation.wait(for: "all is told") { errors.values.count == 3 }
        #expect(Set(errors.values).count == 1 && errors.values[0].contains("ECONNRESET"))
        await simulation.finish()
        #expect(log.messages.isEmpty, "whose peer is gone has done nothing wrong")
    }

    @Test("a connection that breaks while nobody reads ends all the same")
    func brokenWhileBusy() async throws {
        let simulation = try Simulation(reactors: 1)
        let mayEnd = Gate()
        let address = try simulation.engine.serve(on: .loopback(port: 0)) { _ in await mayEnd.wait() }.address
        try await simulation.engine.start()
        let peer = simulation.network.connect(to: address)
        await simulation.wait(for: "it is accepted") { simulation.engine.snapshot()[.liveProtocols] == 1 }
        peer.reset()
        await simulation.wait(for: "it is closed") { simulation.engine.snapshot()[.openConnections] == 0 }
        mayEnd.arrive()
        await simulation.finish()
    }

    @Test("a handler that throws resets its connection, is logged once, and harms no other")
    func handlerThrows() async throws {
        let log = CapturedLog()
        let simulation = try Simulation(reactors: 1, log: log)
        let address = try simulation.engine.serve(on: .loopback(port: 0)) { connection in
            while let byte = try await connection.read({ $0[0] }) {
                if byte == UInt8(ascii: "!") { throw Refused() }
                try await connection.write([byte])
            }
        }.address
        try await simulation.engine.start()
        let (bad, good) = (simulation.network.connect(to: address), simulation.network.connect(to: address))
        bad.send("!")
        await simulation.wait(for: "it is reset") { bad.error != nil }
        good.send("x")
        await simulation.wait(for: "the other lives") { good.unreadByteCount == 1 }
        #expect(log.messages == ["a handler threw Refused()"])
        #expect(simulation.engine.snapshot()[.failedCallbacks] == 1)
        await simulation.finish()
    }

    @Test("a task that is cancelled while it reads throws, and the connection lives on")
    func cancelledRead() async throws {
        let simulation = try Simulation(reactors: 1)
        let outcomes = Recorder<String>()
        let address = try simulation.engine.serve(on: .loopback(port: 0)) { connection in
            // Used by this reactor alone, which the compiler can't know of a task that hops there.
            nonisolated(unsafe) let shared = connection
            let handle = connection.reactor
            let reading = Task {
                await handle.execute { _ in
                    do { _ = try unsafe await shared.read { _ in } } catch { outcomes.add("\(error)") }
                }
            }
            while unsafe !shared.isRead { await Task.yield() }
            reading.cancel()
            await reading.value
            while try await connection.read({ connection.write($0) }) != nil {}
        }.address
        try await simulation.engine.start()
        let peer = simulation.network.connect(to: address)
        await simulation.wait(for: "it is cancelled") { outcomes.values.count == 1 }
        peer.send("x")
        await simulation.wait(for: "it is read afterwards") { peer.unreadByteCount == 1 }
        #expect(outcomes.values == ["CancellationError()"])
        await simulation.finish()
    }

    @Test("a drain is the end of the bytes for handlers, who still answer; none is cut off", arguments: reactorCounts)
    func drainOfHandlers(reactors: Int) async throws {
        let server = try engine(reactors: reactors)
        let began = Gate(4)
        let address = try server.serve(on: .loopback(port: 0)) { connection in
            began.arrive()
            while try await connection.read({ connection.write($0) }) != nil {}
            try await connection.write("bye")
        }.address
        try await server.start()
        let client = try await Client()
        var connections: [Client.Connection] = []
        for _ in 0..<4 { connections.append(await client.open(address)) }
        await began.wait()
        await server.stop()
        for connection in connections {
            let outcome = await connection.ended()
            #expect(outcome.received == Array("bye".utf8))
            #expect(outcome.reason.map { "\($0)" } == "done")
        }
        await client.stop()
    }

    @Test("a handler that goes on beyond the deadline is cancelled; the engine stops when it has ended")
    func deadlineOfHandlers() async throws {
        let log = CapturedLog()
        let server = try engine(reactors: 2, log: log)
        let began = Gate()
        let ends = Recorder<String>()
        let address = try server.serve(on: .loopback(port: 0)) { connection in
            began.arrive()
            do { try await Task.sleep(for: .seconds(3600)) } catch { ends.add("\(error)") }
            do { try await connection.write("too late") } catch { ends.add("\(error)") }
        }.address
        try await server.start()
        let client = try await Client()
        let connection = await client.open(address)
        await began.wait()
        await server.stop(deadline: .milliseconds(10))
        #expect(ends.values == ["CancellationError()", "CancellationError()"])
        #expect(log.messages.isEmpty)
        #expect(await connection.ended().reason.map { "\($0)" }?.contains("ECONNRESET") == true)
        await client.stop()
    }

    @Test("a flood that is always readable keeps no other connection waiting")
    func floodIsFair() async throws {
        let simulation = try Simulation(reactors: 1)
        let flooded = Atomic(0)
        let address = try simulation.engine.serve(on: .loopback(port: 0)) { connection in
            while let count = try await connection.read({ $0.count }) {
                flooded.add(count, ordering: .relaxed)
                if count < 10 { try await connection.write("y") }
            }
        }.address
        try await simulation.engine.start()
        let (flood, small) = (simulation.network.connect(to: address), simulation.network.connect(to: address))
        flood.send([UInt8](repeating: 0, count: 8 << 20))
        small.send("x")
        await simulation.wait(for: "the small one is answered") { small.unreadByteCount == 1 }
        #expect(flooded.load(ordering: .relaxed) < 4 << 20)
        await simulation.finish()
    }
}

/// Isolated to nothing: where it runs is its caller's business.
private nonisolated(nonsending) func helper() async { await Task.yield() }
