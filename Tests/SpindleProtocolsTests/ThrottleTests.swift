// SPDX-License-Identifier: Apache-2.0

import SpindleCore
import SpindleProtocols
import SpindleReactor
import SpindleSimulation
import SpindleSystem
import Testing

@Suite("throttles")
struct ThrottleTests {
    private final class Echo: StreamProtocol {
        let transport: any StreamTransport
        init(_ transport: any StreamTransport) { self.transport = transport }
        func dataReceived(_ bytes: Span<UInt8>) { transport.write(bytes) }
    }

    @Test(
        "with 4 reactors all connections together keep to the total, and each to its own rate",
        arguments: 0..<5 as Range<UInt64>
    )
    func total(seed: UInt64) throws {
        let network = SimulatedNetwork(seed: seed)
        let scheduler = SimulatedScheduler(reactorCount: 4, network: network, seed: seed)
        let throttle = Throttle(
            read: .init(bytesPerSecond: 20_000, burstBytes: 2000),
            totalWrite: .init(bytesPerSecond: 40_000, burstBytes: 4000)
        )
        let build = throttle.guarding { Echo($0) }
        let address = try scheduler.listen(at: .loopback(port: 0)) { _ in ClosureFactory(build) }
        let clients = (0..<16).map { network.connect(to: address, from: .ipv4(0x0A00_0000 + UInt32($0), port: 0)) }
        for client in clients { client.send([UInt8](repeating: 7, count: 5000)) }
        let start = network.now
        var counts = [Int](repeating: 0, count: clients.count)
        var isBounded = true
        for step in 1...220 {
            scheduler.run(noLaterThan: start.advanced(by: .milliseconds(10 * step)))
            for (index, client) in clients.enumerated() { counts[index] += client.receive().count }
            if counts.reduce(0, +) > 4000 + 400 * step { isBounded = false }
            if counts.max()! > 2000 + 200 * step { isBounded = false }
        }
        #expect(isBounded)
        // 80,000 bytes, less a burst, at 40,000 a second.
        #expect(counts == [Int](repeating: 5000, count: 16))
    }

    @Test("without a rate nothing is set; within what was set before")
    func composed() throws {
        let network = SimulatedNetwork(seed: 1)
        let scheduler = SimulatedScheduler(reactorCount: 1, network: network, seed: 1)
        let rate = Throttle.Rate(bytesPerSecond: 1000)
        let limits = Guarded<[[Int]]>([])
        let inner = Throttle(read: rate).guarding { transport in
            let found = [transport.readLimits.map(\.bytesPerSecond), transport.writeLimits.map(\.bytesPerSecond)]
            limits.withLock { $0 = found }
            return nil
        }
        let build = Throttle(totalRead: .init(bytesPerSecond: 5000)).guarding(inner)
        let address = try scheduler.listen(at: .loopback(port: 0)) { _ in ClosureFactory(build) }
        _ = network.connect(to: address)
        scheduler.run(noLaterThan: network.now)
        #expect(limits.withLock { $0 } == [[1000, 5000], []])
    }
}
