// SPDX-License-Identifier: Apache-2.0

import Glibc
import SpindleSystem
import Testing

@testable import Spindle

extension EngineTests {
    @Test("a stop that is asked for during the start follows the start")
    func stopWhileStarting() async throws {
        let server = try engine(reactors: 2)
        let address = try server.listen(on: .loopback(port: 0)) { Echo($0) }.address
        let asked = Gate()
        let stopped = Gate()
        server.addStartupTrigger(.during) { [unowned server] in
            Task.detached {
                asked.arrive()
                await server.stop()
                stopped.arrive()
            }
            // The phase is `starting` until this returns: wait until the stop was asked for.
            while server.state.withLock({ !$0.stopsAfterStart }) { SystemThread.yield() }
        }
        try await server.start()
        await asked.wait()
        await stopped.wait()
        #expect(server.phase == .idle)
        let client = try await Client()
        #expect(await client.exchange([1], with: address).error != nil)
        await client.stop()
    }

    @Test("who asks something of reactors that have ended gets an answer, in an after trigger too")
    func askingTheDead() async throws {
        let server = try engine(reactors: 2)
        try await server.start()
        let answers = Recorder<Int>()
        server.addShutdownTrigger(.after) { [unowned server] in
            answers.add(await server.cpuTimes().count)
            await server.onEveryReactor { _ in answers.add(-2) }
            answers.add(-1)
        }
        await server.stop()
        #expect(answers.values == [0, -1])
    }

    @Test("listeners that were asked for during a stop, or never started, close")
    func listenersThatNeverRun() async throws {
        let server = try engine(reactors: 2)
        try await server.start()
        let late = Recorder<SocketAddress>()
        server.addShutdownTrigger(.before) { [unowned server] in
            late.add(try server.listen(on: .loopback(port: 0)) { Echo($0) }.address)
        }
        await server.stop()
        var abandoned: Engine? = try engine(reactors: 2)
        let first = try abandoned!.listen(on: .loopback(port: 0)) { Echo($0) }
        let second = try abandoned!.listen(on: .loopback(port: 0)) { Echo($0) }.address
        await first.stopListening()
        let client = try await Client()
        for address in [late.values[0], first.address] {
            #expect(await client.exchange([1], with: address).error != nil)
        }
        abandoned = nil
        withExtendedLifetime(first) {}
        await client.stop()
        // The listener holds its engine; with both gone the address is free for anybody.
        let other = try engine(reactors: 1)
        #expect(throws: Never.self) { try other.listen(on: late.values[0]) { Echo($0) } }
        _ = second
    }

    @Test("a full inbox does not keep an engine from stopping")
    func fullInbox() async throws {
        let server = try engine(reactors: 1) { $0.limits.inboxCapacity = 1 }
        let calls = Recorder<Int>()
        for number in 0..<5 { server.callWhenRunning { _ in calls.add(number) } }
        let address = try server.listen(on: .loopback(port: 0)) { Echo($0) }.address
        try await server.start()
        let client = try await Client()
        #expect(await client.exchange([4], with: address).received == [4])
        #expect(calls.values == [0, 1, 2, 3, 4])
        let released = Gate()
        let blocked = Latch()
        server.reactors[0].submit { blocked.wait() }
        while server.reactors[0].submit({}) == .sent {}
        let stopping = Task { await server.stop() }
        blocked.arrive()
        released.arrive()
        await stopping.value
        #expect(server.phase == .idle)
        await client.stop()
    }

    @Test("stopNow on an idle engine does not spoil the next stop's drain")
    func stopNowWhenIdle() async throws {
        let server = try engine(reactors: 1)
        await server.stopNow()
        let address = try server.listen(on: .loopback(port: 0)) { Echo($0) }.address
        try await server.start()
        let client = try await Client()
        let connection = await client.open(address, sending: [7])
        while server.snapshot()[.messages] == 0 { await Task.yield() }
        await server.stop(deadline: .seconds(20))
        let outcome = await connection.ended()
        #expect(outcome.received == [7] && outcome.reason.map { "\($0)" } == "done")
        await client.stop()
    }

    @Test("during and after triggers run although the connections have used up the deadline", arguments: reactorCounts)
    func triggersAfterTheDeadline(reactors: Int) async throws {
        let order = Recorder<String>()
        let server = try engine(reactors: reactors)
        let address = try server.listen(on: .loopback(port: 0)) { transport in
            transport.write([UInt8](repeating: 1, count: 12 << 20))
            return Echo(transport)
        }.address
        try await server.start()
        let peer = try StreamSocket.open(for: address)
        try peer.connect(to: address)
        while server.snapshot()[.liveProtocols] == 0 { await Task.yield() }
        for phase in [TriggerPhase.during, .after] { server.addShutdownTrigger(phase) { order.add("\(phase)") } }
        await server.stop(deadline: .milliseconds(20))
        #expect(order.values == ["during", "after"])
        peer.close()
    }

    @Test("N5: a reactor that stalls, throws or has a full mailbox leaves the others serving", arguments: [2, 4])
    func oneStalls(reactors: Int) async throws {
        struct Thrown: Error {}
        let server = try engine(reactors: reactors) { $0.limits.mailboxCapacity = 16 }
        let address = try server.listen(on: .loopback(port: 0)) { Echo($0) }.address
        let channel = server.makeChannel { (_: Int, _) in throw Thrown() }
        try await server.start()
        let latch = Latch()
        let stalled = Gate()
        server.reactors[0].submit {
            // Its share of the connections would wait for it, as they must.
            Reactor.current?.stopListening()
            stalled.arrive()
            latch.wait()
        }
        await stalled.wait()
        let answers = Recorder<SubmitResult>()
        let sent = Gate()
        server.reactors[1].submit {
            for number in 0..<20 { answers.add(channel.send(number, to: 0)) }
            sent.arrive()
        }
        await sent.wait()
        #expect(answers.values.filter { $0 == .sent }.count == 16 && answers.values.last == .full)
        let client = try await Client()
        for number in UInt8(0)..<16 { #expect(await client.exchange([number], with: address).received == [number]) }
        latch.arrive()
        await client.stop()
        await server.stop()
    }

    @Test("N4: through an engine, what a stopping reactor did not handle is reported, once")
    func undelivered() async throws {
        let server = try engine(reactors: 2) { $0.limits.mailboxCapacity = 64 }
        let handled = Recorder<Int>()
        let reported = Recorder<Int>()
        let channel = server.makeChannel(of: Int.self) { message, _ in
            reported.add(message)
        } handler: { message, _ in
            handled.add(message)
        }
        try await server.start()
        let latch = Latch()
        let stalled = Gate()
        server.reactors[1].submit {
            stalled.arrive()
            latch.wait()
            // Ends the loop before it looks at its mail again.
            Reactor.current?.stop()
        }
        await stalled.wait()
        let sent = Gate()
        server.reactors[0].submit {
            for number in 0..<40 { channel.send(number, to: 1) }
            sent.arrive()
        }
        await sent.wait()
        latch.arrive()
        await server.stop()
        #expect((handled.values + reported.values).sorted() == Array(0..<40))
    }

    @Test("a second run is refused with what to do, and leaves the first its signals")
    func secondRun() async throws {
        let first = try engine(reactors: 1)
        let second = try engine(reactors: 1)
        let running = Gate()
        first.callWhenRunning { _ in running.arrive() }
        let run = Task { try await first.run() }
        await running.wait()
        await #expect(throws: StartError.self) { try await second.run() }
        await #expect(throws: StartError.self) { try await first.run() }
        kill(getpid(), SIGTERM)
        try await run.value
        #expect(first.phase == .idle && second.phase == .idle)
    }

    @Test("C50: the first signal drains, the second ends at once; both are said")
    func secondSignal() async throws {
        let log = CapturedLog()
        let server = try engine(reactors: 1, log: log) { $0.drainTimeout = .seconds(100) }
        let address = try server.listen(on: .loopback(port: 0)) { transport in
            transport.write([UInt8](repeating: 1, count: 12 << 20))
            return Echo(transport)
        }.address
        let running = Gate()
        server.callWhenRunning { _ in running.arrive() }
        let run = Task { try await server.run() }
        await running.wait()
        let peer = try StreamSocket.open(for: address)
        try peer.connect(to: address)
        while server.snapshot()[.liveProtocols] == 0 { await Task.yield() }
        kill(getpid(), SIGTERM)
        while !log.messages.contains(where: { $0.contains("draining") }) { await Task.yield() }
        kill(getpid(), SIGTERM)
        try await run.value
        peer.close()
    }

    @Test("contradictory limits are an error of init, not a trap of start")
    func invalidConfiguration() {
        #expect(throws: OptionError.self) { try engine(reactors: 1) { $0.limits.writeLowWatermarkBytes = 1 << 30 } }
    }

    @Test("a backlog that the kernel clamps is said, with what to do")
    func clampedBacklog() throws {
        let limit = try #require(KernelSetting.maximumBacklog)
        let log = CapturedLog()
        let server = try engine(reactors: 1, log: log) { $0.backlog = limit + 1 }
        _ = try server.listen(on: .loopback(port: 0)) { Echo($0) }
        #expect(log.messages.contains { $0.contains("somaxconn") && $0.contains("\(limit)") })
    }
}
