// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Spindle

extension EngineTests {
    @Test("every accept mode serves, on every number of reactors", arguments: AcceptMode.allCases, reactorCounts)
    func everyMode(mode: AcceptMode, reactors: Int) async throws {
        let server = try engine(reactors: reactors) { $0.acceptMode = mode }
        let address = try server.listen(on: .loopback(port: 0)) { Echo($0) }.address
        try await server.start()
        let client = try await Client()
        for byte in UInt8(0)..<8 {
            let outcome = await client.exchange([byte], with: address)
            #expect(outcome.received == [byte])
        }
        await client.stop()
        await server.stop()
    }

    @Test("balanced keeps the numbers of connections close together, and every one is served")
    func balanced() async throws {
        let server = try engine(reactors: 4) {
            $0.acceptMode = .balanced
            $0.balanceThreshold = 1
        }
        let address = try server.listen(on: .loopback(port: 0)) { Echo($0) }.address
        try await server.start()
        let client = try await Client()
        for byte in UInt8(0)..<40 {
            // One after the other, so that each decision sees the ones before; the echo says that it has settled.
            _ = await client.open(address, sending: [byte])
            while server.snapshot()[.liveProtocols] < UInt64(byte) + 1 { await Task.yield() }
        }
        let counts = server.snapshot().reactors.map { $0[.openConnections] }
        #expect(counts.reduce(0, +) == 40)
        #expect(counts.max()! - counts.min()! <= 2, "\(counts)")
        await client.stop()
        await server.stop()
    }

    @Test("balance hands over only at the threshold, to the reactor with the fewest")
    func balanceDecision() {
        #expect(Balance.target(of: 0, loads: [7, 0, 3], threshold: 8) == 0)
        #expect(Balance.target(of: 0, loads: [8, 0, 3], threshold: 8) == 1)
        #expect(Balance.target(of: 1, loads: [8, 0, 3], threshold: 8) == 1)
        #expect(Balance.target(of: 0, loads: [5], threshold: 1) == 0)
        #expect(
            Balance.target(of: 0, loads: [9, 7], threshold: 8, limit: 9) == 1,
            "one that is full hands over sooner"
        )
        #expect(Balance.target(of: 0, loads: [9, 9], threshold: 1, limit: 9) == 0, "all are full")
    }

    @Test("port: the client's source port modulo the number of reactors chooses, over IPv4 and IPv6")
    func portMode() async throws {
        final class Telling: StreamProtocol {
            let transport: any StreamTransport
            init(_ transport: any StreamTransport) { self.transport = transport }
            func connectionMade() { transport.write([UInt8(Reactor.current?.index ?? 255)]) }
            func dataReceived(_ bytes: Span<UInt8>) {}
        }
        let server = try engine(reactors: 4) { $0.acceptMode = .port }
        let listener = try server.listen(on: .any(port: 0)) { Telling($0) }
        try await server.start()
        let client = try await Client()
        for round in 0..<16 {
            let target = round % 2 == 0 ? listener.address : .loopback6(port: listener.address.port)
            let outcome = await client.exchange([], with: target)
            #expect(outcome.received == [UInt8((outcome.local?.port ?? 0) % 4)])
        }
        await client.stop()
        await server.stop()
    }
}
