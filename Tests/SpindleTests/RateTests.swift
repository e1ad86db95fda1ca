// SPDX-License-Identifier: Apache-2.0

import SpindleSystem
import Testing

@testable import Spindle

/// Limits on rates, in real time: no sooner than they allow, every byte.
extension EngineTests {
    private static let message = (0..<30_000).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) }

    /// 1 MB/s each way, and how long 30,000 bytes take at least.
    private static func limits() -> [RateLimit] { [RateLimit(bytesPerSecond: 1_000_000, burstBytes: 5000)] }
    private static var leastTime: Duration { .milliseconds(25) }

    @Test(
        "a task reads and writes no faster than its connection's limits allow, and loses nothing",
        arguments: reactorCounts
    )
    func pacedTask(reactors: Int) async throws {
        let server = try engine(reactors: reactors)
        let address = try server.serve(on: .loopback(port: 0)) { connection in
            connection.readLimits = EngineTests.limits()
            connection.writeLimits = EngineTests.limits()
            while try await connection.read({ connection.write($0) }) != nil {}
        }.address
        try await server.start()
        let client = try await Client()
        let start = ContinuousClock.now
        let outcome = await client.exchange(EngineTests.message, with: address)
        #expect(outcome.received == EngineTests.message)
        #expect(ContinuousClock.now - start >= EngineTests.leastTime)
        #expect(outcome.reason.map { "\($0)" } == "done")
        await client.stop()
        await server.stop()
    }

    @Test("a connection that moves to another core keeps its limits, with what waits for them")
    func pacedHandOff() async throws {
        final class Moving: StreamProtocol {
            let transport: any StreamTransport
            let target: ReactorHandle
            let limits: [RateLimit]
            init(_ transport: any StreamTransport, _ target: ReactorHandle, _ limits: [RateLimit]) {
                (self.transport, self.target, self.limits) = (transport, target, limits)
                (transport.readLimits, transport.writeLimits) = (limits, limits)
            }
            func connectionMade() {
                transport.write(EngineTests.message)
                transport.handOff(to: target) { [limits] transport in
                    let kept = transport.readLimits.elementsEqual(limits) { $0 === $1 }
                    #expect(kept && transport.writeLimits.count == 1)
                    return Echo(transport)
                }
            }
            func dataReceived(_ bytes: Span<UInt8>) {}
        }
        let server = try engine(reactors: 2)
        let address = try server.listen(on: .loopback(port: 0)) { [unowned server] transport in
            Moving(transport, server.reactors[1 - (Reactor.current?.index ?? 0)], EngineTests.limits())
        }.address
        try await server.start()
        let client = try await Client()
        let outcome = await client.exchange(EngineTests.message, with: address)
        #expect(outcome.received == EngineTests.message + EngineTests.message)
        await client.stop()
        await server.stop()
    }
}
