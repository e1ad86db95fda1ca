// SPDX-License-Identifier: Apache-2.0

import SpindleCore
import SpindleReactor
import SpindleSimulation
import Testing

/// Echoes.
private final class Echo: StreamProtocol {
    let transport: any StreamTransport
    init(_ transport: any StreamTransport) { self.transport = transport }
    func dataReceived(_ bytes: Span<UInt8>) { transport.write(bytes) }
}

@Suite("SimulatedScheduler") struct SimulatedSchedulerTests {
    @Test("reactors on one thread echo through every fault, byte for byte", arguments: 0..<40 as Range<UInt64>)
    func echo(seed: UInt64) throws {
        var sizes = SimulatedNetwork.Configuration()
        sizes.sendBufferBytes = 1000
        sizes.receiveBufferBytes = 700
        let network = SimulatedNetwork(seed: seed, configuration: sizes)
        let scheduler = SimulatedScheduler(reactorCount: 1 + Int(seed % 4), network: network, seed: seed)
        let address = try scheduler.listen(at: .loopback(port: 0)) { _ in ClosureFactory { Echo($0) } }
        network.faults = FaultPlan(seed: seed)
        let peers = (0..<10).map { _ in network.connect(to: address) }
        let message = (0..<5000).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        for peer in peers { peer.send(message) }
        var received = peers.map { _ in [UInt8]() }
        // An accept may fail for good: a peer is served whole, or turned away before it was served at all.
        let outcome = scheduler.run(maximumTurns: 200_000) {
            for index in peers.indices { received[index] += peers[index].receive() }
            return peers.indices.allSatisfy { index in
                received[index].count == message.count || peers[index].error != nil || peers[index].isAtEnd
            }
        }
        #expect(outcome == .fulfilled, "seed \(seed)")
        for (index, bytes) in received.enumerated() where bytes != message {
            #expect(
                network.faults.acceptErrors > 0 && bytes.isEmpty,
                "seed \(seed), peer \(index): \(bytes.count) bytes"
            )
        }
        for peer in peers { peer.close() }
        scheduler.run(maximumTurns: 200_000)
        scheduler.stopListening()
        scheduler.endAllConnections()
        #expect(scheduler.reactors.allSatisfy { $0.connectionCount == 0 })
        scheduler.run(maximumTurns: 200_000)
        #expect(network.openDescriptorCount == 0)
        #expect(network.socketCount == 0, "seed \(seed)")
    }
}

extension Contract {
    @Suite("smoke") struct Smoke {
        @Test("what is sent comes back, then the end", arguments: DriverKind.allCases)
        func echo(kind: DriverKind) throws {
            try withBench(kind) { bench in
                let (client, proto) = try bench.pair()
                proto.onBytes = { $0.transport.write($1) }
                client.send("hello")
                bench.turn("the echo came") { client.text == "hello" }
                client.shutdownWrites()
                bench.turn("the end came") { client.isAtEnd && proto.isLost }
                #expect(proto.reasonText == "done")
                #expect(proto.callbacks == [.made, .data, .readEnd, .lost])
            }
        }
    }
}
