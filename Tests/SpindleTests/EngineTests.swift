// SPDX-License-Identifier: Apache-2.0

import SpindleSystem
import Testing

@testable import Spindle

/// One suite for all that starts engines: they count descriptors and threads, so they run one after the other.
@Suite(.serialized, .timeLimit(.minutes(2)), .leavesNothing)
struct EngineTests {
    static let reactorCounts = [1, 2, 4]

    @Test("what is sent comes back, byte for byte, from one byte to several MiB", arguments: reactorCounts)
    func echo(reactors: Int) async throws {
        let server = try engine(reactors: reactors)
        let address = try server.listen(on: .loopback(port: 0)) { Echo($0) }.address
        try await server.start()
        let client = try await Client()
        for count in [0, 1, 2, 4095, 65_536, 65_537, 3_000_000] {
            let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) }
            let outcome = await client.exchange(bytes, with: address)
            #expect(outcome.received == bytes)
            #expect(outcome.reason.map { "\($0)" } == "done")
        }
        await client.stop()
        await server.stop()
    }

    @Test("N6: port 0 gives one port to all reactors, over IPv4 and IPv6", arguments: reactorCounts)
    func onePort(reactors: Int) async throws {
        let server = try engine(reactors: reactors)
        let listener = try server.listen(on: .any(port: 0)) { Echo($0) }
        #expect(listener.address.port != 0)
        try await server.start()
        let client = try await Client()
        for target in [SocketAddress.loopback(port: listener.address.port), .loopback6(port: listener.address.port)] {
            let outcome = await client.exchange([1, 2, 3], with: target)
            #expect(outcome.received == [1, 2, 3])
        }
        await client.stop()
        await server.stop()
    }

    @Test("C39: a busy port is an error with its address and reason, before anything starts", arguments: reactorCounts)
    func busyPort(reactors: Int) async throws {
        let first = try engine(reactors: reactors)
        let address = try first.listen(on: .loopback(port: 0)) { Echo($0) }.address
        try await first.start()
        let second = try engine(reactors: reactors)
        #expect(throws: ListenError(address: address, errno: .addressInUse)) {
            try second.listen(on: address) { Echo($0) }
        }
        await first.stop()
    }

    @Test(
        "C39: stopListening leaves live connections alone, and the port can be listened on again",
        arguments: reactorCounts
    )
    func stopListening(reactors: Int) async throws {
        let server = try engine(reactors: reactors)
        let listener = try server.listen(on: .loopback(port: 0)) { Echo($0) }
        try await server.start()
        let client = try await Client()
        let live = await client.open(listener.address, sending: [7])
        await listener.stopListening()
        let refused = await client.exchange([1], with: listener.address)
        #expect(refused.error != nil)
        let again = try server.listen(on: listener.address) { Echo($0) }
        let served = await client.exchange([2], with: again.address)
        #expect(served.received == [2])
        live.finishWriting()
        let outcome = await live.ended()
        #expect(outcome.received == [7])
        await client.stop()
        await server.stop()
    }

    @Test(
        "C48: stop is idempotent, a second start is refused, and a stopped engine starts again",
        arguments: reactorCounts
    )
    func restart(reactors: Int) async throws {
        let server = try engine(reactors: reactors)
        let client = try await Client()
        await server.stop()
        for round in 1...3 {
            let address = try server.listen(on: .loopback(port: 0)) { Echo($0) }.address
            try await server.start()
            await #expect(throws: StartError.self) { try await server.start() }
            let outcome = await client.exchange([UInt8(round)], with: address)
            #expect(outcome.received == [UInt8(round)])
            async let one: Void = server.stop()
            async let two: Void = server.stop()
            _ = await (one, two)
            #expect(server.phase == .idle)
        }
        await client.stop()
    }

    @Test("several engines live in one process, each with its own reactors")
    func severalEngines() async throws {
        let servers = try (0..<3).map { _ in try engine(reactors: 2) }
        let client = try await Client()
        for (index, server) in servers.enumerated() {
            let address = try server.listen(on: .loopback(port: 0)) { Echo($0) }.address
            try await server.start()
            let outcome = await client.exchange([UInt8(index)], with: address)
            #expect(outcome.received == [UInt8(index)])
        }
        await client.stop()
        for server in servers { await server.stop() }
    }

    @Test("C49: a stop lets what was written arrive before it closes", arguments: reactorCounts)
    func drainSendsWhatWasWritten(reactors: Int) async throws {
        final class Sender: StreamProtocol {
            let transport: any StreamTransport
            let made: @Sendable () -> Void
            init(_ transport: any StreamTransport, made: @escaping @Sendable () -> Void) {
                self.transport = transport
                self.made = made
            }
            func connectionMade() {
                transport.write([UInt8](repeating: 9, count: 4 << 20))
                made()
            }
            func dataReceived(_ bytes: Span<UInt8>) {}
        }
        let server = try engine(reactors: reactors)
        let written = Gate()
        let address = try server.listen(on: .loopback(port: 0)) { Sender($0, made: { written.arrive() }) }.address
        try await server.start()
        let client = try await Client()
        let connection = await client.open(address)
        await written.wait()
        await server.stop(deadline: .seconds(20))
        let outcome = await connection.ended()
        #expect(outcome.received.count == 4 << 20)
        await client.stop()
    }

    @Test("C49: what has not finished by the deadline ends with engineStopped", arguments: reactorCounts)
    func drainDeadline(reactors: Int) async throws {
        final class Stubborn: StreamProtocol {
            let transport: any StreamTransport
            let lost: @Sendable (String) -> Void
            init(_ transport: any StreamTransport, lost: @escaping @Sendable (String) -> Void) {
                self.transport = transport
                self.lost = lost
            }
            func connectionMade() { transport.write([UInt8](repeating: 1, count: 12 << 20)) }
            func dataReceived(_ bytes: Span<UInt8>) {}
            func connectionLost(_ reason: DisconnectReason) { lost("\(reason)") }
        }
        let server = try engine(reactors: reactors)
        let reasons = Recorder<String>()
        let address = try server.listen(on: .loopback(port: 0)) { Stubborn($0, lost: reasons.add) }.address
        try await server.start()
        // A peer that never reads: a bare socket that only connects.
        let peer = try StreamSocket.open(for: address)
        try peer.connect(to: address)
        let accepted = Gate()
        server.callWhenRunning { reactor in
            reactor.callRepeatedly(every: .milliseconds(1)) { _ in
                if reactor.connectionCount == 1 { accepted.arrive() }
            }
        }
        await accepted.wait()
        await server.stop(deadline: .milliseconds(50))
        #expect(reasons.values == ["the engine stopped"])
        peer.close()
    }

    @Test("a reactor refuses connections over its limit and goes on when one leaves")
    func connectionLimit() async throws {
        let server = try engine(reactors: 1) { $0.limits.maximumConnections = 2 }
        let address = try server.listen(on: .loopback(port: 0)) { Echo($0) }.address
        try await server.start()
        let client = try await Client()
        let first = await client.open(address, sending: [1])
        _ = await client.open(address, sending: [2])
        let third = await client.exchange([3], with: address, halfClose: false)
        #expect(third.received.isEmpty)
        #expect(server.snapshot()[.refused] == 1)
        first.finishWriting()
        _ = await first.ended()
        await client.stop()
        await server.stop()
    }

    @Test(
        "C48: a stop that is asked for from a callback lets that callback's answer out first",
        arguments: reactorCounts
    )
    func stopFromCallback(reactors: Int) async throws {
        final class Stopper: StreamProtocol {
            let transport: any StreamTransport
            let engine: Engine
            init(_ transport: any StreamTransport, _ engine: Engine) {
                self.transport = transport
                self.engine = engine
            }
            func dataReceived(_ bytes: Span<UInt8>) {
                Task.detached { [engine] in await engine.stop() }
                transport.write("last words")
            }
        }
        let server = try engine(reactors: reactors)
        let address = try server.listen(on: .loopback(port: 0)) { [unowned server] in Stopper($0, server) }.address
        try await server.start()
        let client = try await Client()
        let outcome = await client.exchange([1], with: address, halfClose: false)
        await server.waitUntilStopped()
        #expect(outcome.received == Array("last words".utf8))
        await client.stop()
    }

    @Test(
        "C11: errors of callWhenRunning, a foreign job and an after trigger are logged, and the next ones still run",
        arguments: reactorCounts
    )
    func errorsOutsideOfConnections(reactors: Int) async throws {
        struct Broken: Error {}
        let log = CapturedLog()
        let server = try engine(reactors: reactors, log: log)
        let done = Gate(2 * reactors)
        server.callWhenRunning { _ in throw Broken() }
        server.callWhenRunning { _ in done.arrive() }
        server.addStartupTrigger(.after) { throw Broken() }
        try await server.start()
        for handle in server.reactors {
            handle.submit { throw Broken() }
            handle.submit { done.arrive() }
        }
        await done.wait()
        #expect(log.messages.count { $0.contains("Broken") } == 2 * reactors + 1)
        await server.stop()
    }

    @Test("C27: jobs of one thread run in their order; one that is submitted on the reactor itself runs after its turn")
    func foreignOrder() async throws {
        let server = try engine(reactors: 2)
        try await server.start()
        let order = Recorder<Int>()
        let done = Gate()
        for number in 0..<1000 { server.reactors[1].submit { order.add(number) } }
        server.reactors[1].submit {
            server.reactors[1].submit {
                order.add(1001)
                done.arrive()
            }
            order.add(1000)
        }
        await done.wait()
        #expect(order.values == Array(0...1001))
        await server.stop()
    }
}
