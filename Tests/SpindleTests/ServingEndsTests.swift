// SPDX-License-Identifier: Apache-2.0

import Spindle
import SpindleSimulation
import SpindleSystem
import Synchronization
import Testing

/// How connections that are served by tasks end, and what they owe each other.
extension EngineTests {
    private struct Refused: Error {}

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
            // tidy: allow banned: never slept out: it stands for whatever waits when a task is cancelled
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

    /// Who is connected, for the handlers of one reactor.
    // Sendable: the handlers that use it all run on one reactor.
    final class Room: @unchecked Sendable {
        var members: [StreamConnection] = []
    }

    @Test("what one step writes to several connections reaches each, in order and unmixed")
    func writesToSeveral() async throws {
        let simulation = try Simulation(reactors: 1)
        let room = Room()
        let high = simulation.engine.configuration.limits.writeHighWatermarkBytes
        let address = try simulation.engine.serve(on: .loopback(port: 0)) { connection in
            room.members.append(connection)
            _ = try await connection.read { _ in
                // Corked for itself, then a lot for the others, then for itself again.
                connection.write("a")
                for other in room.members where other !== connection {
                    other.write([UInt8](repeating: UInt8(ascii: "b"), count: high + 1))
                }
                connection.write("c")
            }
            func writeWithoutWaiting(_ text: String) { connection.write(text) }
            writeWithoutWaiting("d")
            for other in room.members where other !== connection { try await other.write("e") }
            writeWithoutWaiting("f")
            _ = try await connection.read { _ in }
        }.address
        try await simulation.engine.start()
        let (first, second) = (simulation.network.connect(to: address), simulation.network.connect(to: address))
        await simulation.wait(for: "both are there") { simulation.engine.snapshot()[.liveProtocols] == 2 }
        first.send("go")
        var received: [UInt8] = []
        await simulation.wait(for: "all is there") {
            received += second.receive()
            return received.count == high + 2 && first.unreadByteCount == 4
        }
        #expect(first.receive() == Array("acdf".utf8))
        #expect(received.dropLast().allSatisfy { $0 == UInt8(ascii: "b") } && received.last == UInt8(ascii: "e"))
        first.shutdownWrites()
        second.shutdownWrites()
        await simulation.wait(for: "both have ended") { simulation.engine.snapshot()[.liveProtocols] == 0 }
        room.members = []
        await simulation.finish()
    }

    @Test("what a timer or a job writes leaves by itself, and goes to nobody else")
    func writesOutsideOfSteps() async throws {
        let simulation = try Simulation(reactors: 1)
        let room = Room()
        let address = try simulation.engine.serve(on: .loopback(port: 0)) { connection in
            room.members.append(connection)
            while try await connection.read({ connection.write($0) }) != nil {}
        }.address
        try await simulation.engine.start()
        let first = simulation.network.connect(to: address)
        await simulation.wait(for: "it is there") { simulation.engine.snapshot()[.liveProtocols] == 1 }
        simulation.engine.reactors[0].submit {
            room.members[0].write("job ")
            Reactor.current?.callLater(.zero) { room.members[0].write("timer") }
        }
        await simulation.wait(for: "both have come") { first.unreadByteCount == 9 }
        #expect(first.receive() == Array("job timer".utf8))
        // The next connection is accepted by a reactor that has nothing corked.
        let second = simulation.network.connect(to: address)
        second.send("x")
        await simulation.wait(for: "it is served") { second.unreadByteCount == 1 }
        #expect(second.receive() == Array("x".utf8))
        simulation.engine.reactors[0].submit { room.members = [] }
        await simulation.finish()
    }

    @Test("a large write that fails costs another connection nothing of what the same step wrote to it")
    func failedWriteOfAnother() async throws {
        let simulation = try Simulation(reactors: 1)
        let room = Room()
        let high = simulation.engine.configuration.limits.writeHighWatermarkBytes
        let address = try simulation.engine.serve(on: .loopback(port: 0)) { connection in
            room.members.append(connection)
            _ = try await connection.read { _ in
                connection.write("kept")
                for other in room.members where other !== connection { other.write([UInt8](repeating: 0, count: high)) }
            }
            _ = try await connection.read { _ in }
        }.address
        try await simulation.engine.start()
        let (first, second) = (simulation.network.connect(to: address), simulation.network.connect(to: address))
        await simulation.wait(for: "both are there") { simulation.engine.snapshot()[.liveProtocols] == 2 }
        simulation.network.failNextSends(with: [.brokenPipe])
        first.send("go")
        await simulation.wait(for: "one is answered, one has ended") {
            first.unreadByteCount > 0 && second.error != nil
        }
        #expect(first.receive() == Array("kept".utf8))
        simulation.engine.reactors[0].submit { room.members = [] }
        await simulation.finish()
    }

    @Test("a handler whose peer has left is cancelled when the engine stops, in simulated time too")
    func stopCancelsHandlers() async throws {
        let log = CapturedLog()
        let simulation = try Simulation(reactors: 2, log: log)
        let ends = Recorder<String>()
        let address = try simulation.engine.serve(on: .loopback(port: 0)) { connection in
            // tidy: allow banned: never slept out: it stands for whatever waits when a task is cancelled
            do { try await Task.sleep(for: .seconds(3600)) } catch { ends.add("\(error)") }
        }.address
        try await simulation.engine.start()
        let peer = simulation.network.connect(to: address)
        await simulation.wait(for: "it is accepted") { simulation.engine.snapshot()[.liveProtocols] == 1 }
        peer.reset()
        await simulation.wait(for: "it is closed") { simulation.engine.snapshot()[.openConnections] == 0 }
        await simulation.finish()
        #expect(ends.values == ["CancellationError()"])
    }

    @Test("a peer that resets while it is written to is no error of the handler's")
    func resetWhileWriting() async throws {
        let log = CapturedLog()
        let simulation = try Simulation(reactors: 1, log: log)
        let address = try simulation.engine.serve(on: .loopback(port: 0)) { connection in
            while true { try await connection.write([UInt8](repeating: 0, count: 1000)) }
        }.address
        try await simulation.engine.start()
        let peers = (0..<20).map { _ in simulation.network.connect(to: address) }
        for peer in peers {
            await simulation.wait(for: "it is written to") { peer.unreadByteCount > 0 }
            peer.reset()
        }
        await simulation.wait(for: "all are closed") { simulation.engine.snapshot()[.openConnections] == 0 }
        await simulation.finish()
        #expect(log.messages.isEmpty, "\(log.messages)")
        #expect(simulation.engine.snapshot()[.failedCallbacks] == 0)
    }

    @Test("a writer whose peer reads as fast as it writes keeps no other connection waiting")
    func endlessWriterIsFair() async throws {
        let simulation = try Simulation(reactors: 1)
        let isOver = Atomic(false)
        let address = try simulation.engine.serve(on: .loopback(port: 0)) { connection in
            let byte = try await connection.read { $0[0] }
            // Nobody reads what the flood is sent: it goes nowhere while its window is wide.
            while byte == UInt8(ascii: "f"), !isOver.load(ordering: .relaxed) { try await connection.write("y") }
            try await connection.write("x")
        }.address
        try await simulation.engine.start()
        let (flood, small) = (simulation.network.connect(to: address), simulation.network.connect(to: address))
        flood.setWindow(byteCount: 1 << 30)
        flood.send("f")
        await simulation.wait(for: "it floods") { flood.unreadByteCount > 100 << 10 }
        small.send("s")
        await simulation.wait(for: "the small one is answered") { small.unreadByteCount == 1 }
        isOver.store(true, ordering: .relaxed)
        await simulation.finish()
    }

    @Test("an error that a write meets is not the end of the bytes for the read that follows")
    func failedSend() async throws {
        let simulation = try Simulation(reactors: 1)
        let outcomes = Recorder<String>()
        let address = try simulation.engine.serve(on: .loopback(port: 0)) { connection in
            _ = try await connection.read { connection.write($0) }
            do { outcomes.add("\(try await connection.read { $0.count } ?? -1)") } catch { outcomes.add("\(error)") }
            do { try await connection.write("x") } catch { outcomes.add("\(error)") }
        }.address
        try await simulation.engine.start()
        let peer = simulation.network.connect(to: address)
        await simulation.wait(for: "it is accepted") { simulation.engine.snapshot()[.liveProtocols] == 1 }
        simulation.network.failNextSends(with: [.brokenPipe])
        peer.send("x")
        await simulation.wait(for: "all is told") { outcomes.values.count == 2 }
        #expect(outcomes.values.allSatisfy { $0.contains("EPIPE") }, "\(outcomes.values)")
        await simulation.finish()
    }

    @Test("bytes that wait unread when a drain ends a handler cost the peer nothing of the answer")
    func drainWithUnreadInput() async throws {
        let server = try engine(reactors: 1)
        let (began, mayRead) = (Gate(), Gate())
        let answer = [UInt8](repeating: 5, count: 100_000)
        let address = try server.serve(on: .loopback(port: 0)) { connection in
            began.arrive()
            await mayRead.wait()
            #expect(try await connection.read { $0.count } == nil, "a drain is the end")
            try await connection.write(answer)
        }.address
        try await server.start()
        let client = try await Client()
        let connection = await client.open(address, sending: [1, 2, 3])
        await began.wait()
        async let stopped: Void = server.stop()
        let handle = server.reactors[0]
        while await handle.execute({ _ in Reactor.current?.isDraining == false }) { await Task.yield() }
        mayRead.arrive()
        let outcome = await connection.ended()
        #expect(outcome.received == answer)
        #expect(outcome.reason.map { "\($0)" } == "done")
        await stopped
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
