// SPDX-License-Identifier: Apache-2.0

import CSandbox
import Glibc
import SpindleSystem
import Testing

@testable import Spindle

extension EngineTests {
    @Test("a snapshot counts what happened, per core and together", arguments: reactorCounts)
    func snapshot(reactors: Int) async throws {
        final class Slow: StreamProtocol {
            typealias Failure = any Error
            struct Thrown: Error {}
            let transport: any StreamTransport
            init(_ transport: any StreamTransport) { self.transport = transport }
            func dataReceived(_ bytes: Span<UInt8>) throws {
                if bytes[0] == 99 { throw Thrown() }
                let end = SystemClock.now().advanced(by: .milliseconds(3))
                while SystemClock.now() < end {}
                transport.write(bytes)
            }
        }
        let server = try engine(reactors: reactors)
        let address = try server.listen(on: .loopback(port: 0)) { Slow($0) }.address
        try await server.start()
        let client = try await Client()
        for byte in UInt8(1)...8 { _ = await client.exchange([byte], with: address) }
        _ = await client.exchange([99], with: address, halfClose: false)
        let seen = server.snapshot()
        #expect(seen.reactors.map(\.index) == Array(0..<reactors))
        #expect(seen[.accepted] == 9 && seen[.bytesReceived] == 9 && seen[.bytesSent] == 8)
        #expect(seen[.failedCallbacks] == 1 && seen[.messages] == 9)
        #expect(seen[.turns] > 0 && seen[.turns] >= seen[.waits] / 2)
        #expect(seen[.accepted] == seen.reactors.reduce(0) { $0 + $1[.accepted] })
        let busy = try #require(seen.reactors.first { $0[.bytesSent] > 0 })
        #expect(busy.turns.longestCallbackProtocol == "Slow" && busy.turns.longestCallbackNanoseconds >= 3_000_000)
        #expect(busy.turns.longestTurnNanoseconds >= busy.turns.longestCallbackNanoseconds)
        #expect(busy.busyShare > 0 && busy.busyShare < 1)
        let dispatches = try #require(busy.turns.phases.first { $0.phase == .dispatch })
        #expect(dispatches.histogram.contains { $0.upperNanoseconds > 3_000_000 && $0.count > 0 })
        #expect(dispatches.longestNanoseconds >= 3_000_000)
        #expect(await server.cpuTimes().count == reactors)
        await client.stop()
        await server.stop()
        #expect(await server.cpuTimes().isEmpty)
    }

    @Test("the flight recorder keeps the last thousand turns, and SIGUSR2 writes them to the log")
    func flightRecorder() async throws {
        let log = CapturedLog()
        let server = try engine(reactors: 1, log: log)
        let turned = Gate()
        server.callWhenRunning { reactor in
            var left = 1500
            func again() {
                left -= 1
                if left > 0 { reactor.callSoon(again) } else { turned.arrive() }
            }
            again()
        }
        let run = Task { try await server.run() }
        await turned.wait()
        let turns = server.reactors[0].recorder.recentTurns(limit: 5000)
        #expect(turns.count == 1000)
        #expect(zip(turns, turns.dropFirst()).allSatisfy { $0.startNanoseconds >= $1.startNanoseconds })
        #expect(turns.contains { $0.phases.contains { $0.phase == .jobs } })
        kill(getpid(), SIGUSR2)
        while log.messages.count(where: { $0.hasPrefix("turn at") }) < 900 { await Task.yield() }
        kill(getpid(), SIGTERM)
        try await run.value
    }

    @Test("the turn hook runs at every turn, on its reactor")
    func turnHook() async throws {
        let server = try engine(reactors: 2)
        let hooked = Gate(2)
        let strays = Recorder<Int>()
        server.callWhenRunning { reactor in
            let thread = SystemThread.currentID
            var count = 0
            reactor.turnHook = { [unowned reactor] in
                if SystemThread.currentID != thread { strays.add(reactor.index) }
                count += 1
                if count == 3 { hooked.arrive() }
            }
            // A reactor that has nothing to do takes no turn.
            reactor.callRepeatedly(every: .milliseconds(1)) { _ in }
        }
        try await server.start()
        await hooked.wait()
        await server.stop()
        #expect(strays.values.isEmpty)
    }

    @Test("a reactor knows its connections: their number, each of them, and how to lose them all")
    func registry() async throws {
        let server = try engine(reactors: 1)
        let address = try server.listen(on: .loopback(port: 0)) { Echo($0) }.address
        try await server.start()
        let client = try await Client()
        var connections: [Client.Connection] = []
        for byte in UInt8(0)..<3 { connections.append(await client.open(address, sending: [byte])) }
        while server.snapshot()[.messages] < 3 { await Task.yield() }
        let seen = Recorder<(Int, [SocketAddress])>()
        await server.onEveryReactor { reactor in
            var peers: [SocketAddress] = []
            reactor.forEachConnection { peers.append($0.peerAddress) }
            seen.add((reactor.connectionCount, peers))
            reactor.loseAllConnections()
        }
        #expect(seen.values[0].0 == 3 && Set(seen.values[0].1).count == 3)
        for (byte, connection) in connections.enumerated() {
            let outcome = await connection.ended()
            #expect(outcome.received == [UInt8(byte)] && outcome.reason.map { "\($0)" } == "done")
        }
        await client.stop()
        await server.stop()
    }

    @Test("a callback that goes through all connections finds its own among them")
    func registryWithinCallback() async throws {
        final class Census: StreamProtocol {
            let transport: any StreamTransport
            let found: Recorder<Bool>
            init(_ transport: any StreamTransport, _ found: Recorder<Bool>) {
                self.transport = transport
                self.found = found
            }
            func look() {
                var isAmongThem = false
                Reactor.current?.forEachConnection { isAmongThem = isAmongThem || $0 === transport }
                found.add(isAmongThem)
            }
            func connectionMade() { look() }
            func dataReceived(_ bytes: Span<UInt8>) {
                look()
                Reactor.current?.loseAllConnections()
            }
            func connectionLost(_ reason: DisconnectReason) { look() }
        }
        let server = try engine(reactors: 1)
        let found = Recorder<Bool>()
        let address = try server.listen(on: .loopback(port: 0)) { Census($0, found) }.address
        try await server.start()
        let client = try await Client()
        let outcome = await client.open(address, sending: [7]).ended()
        #expect(outcome.reason.map { "\($0)" } == "done")
        await client.stop()
        await server.stop()
        #expect(found.values == [true, true, false])
    }

    @Test("Reactor.current is the reactor on its thread and nil elsewhere")
    func currentReactor() async throws {
        let server = try engine(reactors: 2)
        let found = Recorder<Int>()
        try await server.start()
        await server.onEveryReactor { reactor in if Reactor.current === reactor { found.add(reactor.index) } }
        #expect(Reactor.current == nil)
        #expect(found.values.sorted() == [0, 1])
        await server.stop()
    }

    /// What no program should do.
    // Sendable: it is not, and that is what the test is about.
    private struct Smuggled: @unchecked Sendable { let reactor: Reactor }

    @Test("using a reactor on another thread traps")
    func wrongThread() async {
        await #expect(processExitsWith: .failure) {
            let server = try engine(reactors: 1)
            try await server.start()
            let escaped = Recorder<Smuggled>()
            await server.onEveryReactor { escaped.add(Smuggled(reactor: $0)) }
            escaped.values[0].reactor.callSoon {}
        }
    }

    @Test("addresses that cannot be listened on are errors with what to do about them")
    func listenErrors() throws {
        let server = try engine(reactors: 2)
        let foreign = SocketAddress.ipv4(0x0102_0304, port: 0)
        let error = #expect(throws: ListenError.self) { try server.listen(on: foreign) { Echo($0) } }
        #expect(error?.errno == .addressNotAvailable && error?.description.contains("ip address") == true)
        var options = ListenOptions()
        options.interface = "no-such-interface"
        #expect(throws: ListenError.self) { try server.listen(on: .any(port: 0), options: options) { Echo($0) } }
        options = ListenOptions()
        options.interface = "lo"
        #expect(throws: Never.self) { try server.listen(on: .any(port: 0), options: options) { Echo($0) } }
    }

    @Test("without dual stack, an IPv6 listener leaves IPv4 alone")
    func onlyIPv6() async throws {
        let server = try engine(reactors: 1)
        var options = ListenOptions()
        options.dualStack = false
        let port = try server.listen(on: .any(port: 0), options: options) { Echo($0) }.address.port
        try await server.start()
        let client = try await Client()
        #expect(await client.exchange([1], with: .loopback6(port: port)).received == [1])
        #expect(await client.exchange([1], with: .loopback(port: port)).error != nil)
        await client.stop()
        await server.stop()
    }

    @Test("more connections than there can be descriptors is refused at the start, with the limit")
    func tooManyConnections() throws {
        let hard = try DescriptorLimit.current().hard
        let server = try engine(reactors: 1) { $0.limits.maximumConnections = Int(min(hard, 1 << 29)) + 1000 }
        let error = #expect(throws: StartError.self) { try server.start() }
        #expect(error?.description.contains("\(hard)") == true && server.phase == .idle)
    }

    @Test("where BPF is refused, reuseport-cpu says so and serves, and port is an error")
    func refusedSteering() async {
        await #expect(processExitsWith: .success) {
            try #require(sandbox_refuse_option(sandbox_reuseport_filter(), Errno.notPermitted.rawValue) == 0)
            let log = CapturedLog()
            let server = try engine(reactors: 2, log: log) { $0.acceptMode = .reuseportCPU }
            let address = try server.listen(on: .loopback(port: 0)) { Echo($0) }.address
            try #require(log.messages.count { $0.contains("hash chooses") } == 1)
            try await server.start()
            let client = try await Client()
            try #require(await client.exchange([5], with: address).received == [5])
            await client.stop()
            await server.stop()
            let strict = try engine(reactors: 2) { $0.acceptMode = .port }
            let refusal = #expect(throws: ListenError.self) { try strict.listen(on: .loopback(port: 0)) { Echo($0) } }
            try #require(refusal?.errno == .notPermitted)
        }
    }

    @Test("where pinning is refused, reactors say so and float")
    func refusedPinning() async {
        await #expect(processExitsWith: .success) {
            try #require(sandbox_refuse(sandbox_sched_setaffinity(), Errno.notPermitted.rawValue) == 0)
            let log = CapturedLog()
            let server = try engine(reactors: 2, log: log) { $0.placement.pin = .always }
            let address = try server.listen(on: .loopback(port: 0)) { Echo($0) }.address
            try await server.start()
            try #require(log.messages.contains { $0.contains("floats") })
            let client = try await Client()
            try #require(await client.exchange([5], with: address).received == [5])
            await client.stop()
            await server.stop()
        }
    }

    @Test("a snapshot says how long each reactor's thread had to wait for its CPU, and nil once it is gone")
    func runDelay() async throws {
        let server = try engine(reactors: 2)
        #expect(server.snapshot().reactors.allSatisfy { $0.runDelay == nil })
        try await server.start()
        let running = server.snapshot()
        #expect(running.reactors.allSatisfy { $0.runDelay.map { $0 >= .zero } == true })
        await server.stop()
        #expect(server.snapshot().reactors.allSatisfy { $0.runDelay == nil })
    }
}
