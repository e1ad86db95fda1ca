// SPDX-License-Identifier: Apache-2.0

import SpindleCore
import SpindleReactor
import SpindleSimulation
import Testing

/// What the hand-offs of a run have to keep to; on one thread.
private final class HandOffLedger {
    var random: SeededRandom
    var handles: [ReactorHandle] = []
    /// Protocols that were made and have not been told of their end.
    var alive = 0
    var handOffs = 0
    var complaints: [String] = []

    init(seed: UInt64) { random = SeededRandom(seed: seed) }

    func check(_ condition: Bool, _ complaint: @autoclosure () -> String) {
        if !condition { complaints.append(complaint()) }
    }
}

/// Echoes, and every now and then goes on elsewhere, with a part of what it was given unread and much unsent.
private final class Wanderer: StreamProtocol {
    let transport: any StreamTransport
    let home: Int
    // Shared by all protocols of a run, which has one thread.
    let ledger: HandOffLedger
    private var isOver = false
    private var hasLeft = false

    init(_ transport: any StreamTransport, _ ledger: HandOffLedger) {
        self.transport = transport
        self.ledger = ledger
        home = Reactor.current?.index ?? -1
        ledger.alive += 1
    }

    private func look(_ callback: String) {
        ledger.check(!isOver, "\(callback) after connectionLost")
        ledger.check(Reactor.current?.index == home, "N1: \(callback) of reactor \(home) elsewhere")
    }

    func connectionMade() { look("connectionMade") }

    func dataReceived(_ bytes: Span<UInt8>) {
        look("dataReceived")
        ledger.check(!hasLeft, "dataReceived after a hand-off")
        let now = ledger.random.below(4) == 0 ? ledger.random.below(bytes.count + 1) : bytes.count
        transport.write(bytes.extracting(first: now))
        guard now < bytes.count || ledger.random.below(8) == 0 else { return }
        let target = ledger.handles[ledger.random.below(ledger.handles.count)]
        let rest = ByteChunk(copying: bytes.extracting(droppingFirst: now))
        nonisolated(unsafe) let ledger = ledger
        hasLeft = transport.handOff(to: target, unread: rest) { Wanderer($0, unsafe ledger) }
        if hasLeft { self.ledger.handOffs += 1 } else { transport.write(rest) }
        // Nothing goes anywhere from here any more.
        if hasLeft { transport.write([0xFF]) }
    }

    func readConnectionLost() {
        look("readConnectionLost")
        transport.loseConnection()
    }

    func connectionLost(_ reason: DisconnectReason) {
        look("connectionLost")
        isOver = true
        ledger.alive -= 1
        if hasLeft { ledger.check("\(reason)" == "\(DisconnectReason.handedOff)", "handed off, and told \(reason)") }
    }
}

@Suite("Handing live connections to other reactors") struct HandOffTests {
    @Test(
        "N1: through any number of hand-offs and every fault the echo is byte for byte",
        arguments: 0..<60 as Range<UInt64>
    )
    func wandering(seed: UInt64) throws {
        var sizes = SimulatedNetwork.Configuration()
        sizes.sendBufferBytes = 900
        sizes.receiveBufferBytes = 700
        let network = SimulatedNetwork(seed: seed, configuration: sizes)
        let scheduler = SimulatedScheduler(reactorCount: 1 + Int(seed % 4), network: network, seed: seed)
        let ledger = HandOffLedger(seed: seed)
        ledger.handles = scheduler.reactors.map(\.handle)
        nonisolated(unsafe) let shared = ledger
        let address = try scheduler.listen(at: .loopback(port: 0)) { _ in
            ClosureFactory { Wanderer($0, unsafe shared) }
        }
        var faults = FaultPlan(seed: seed)
        faults.acceptErrors = 0
        network.faults = faults
        let peers = (0..<6).map { _ in network.connect(to: address) }
        let message = (0..<8000).map { UInt8(truncatingIfNeeded: ($0 &* 31) % 251) }
        for peer in peers { peer.send(message) }
        var received = peers.map { _ in [UInt8]() }
        let outcome = scheduler.run(maximumTurns: 400_000) {
            for index in peers.indices {
                received[index] += peers[index].receive()
                // The end comes while the rest is on its way, on whichever reactor that finds it.
                if received[index].count > 4000 { peers[index].shutdownWrites() }
            }
            return peers.allSatisfy { $0.isAtEnd || $0.error != nil }
        }
        #expect(outcome == .fulfilled, "seed \(seed)")
        for (index, bytes) in received.enumerated() {
            #expect(bytes == message, "seed \(seed), peer \(index): \(bytes.count) bytes, \(peers[index].error as Any)")
        }
        #expect(ledger.handOffs > 0, "seed \(seed)")
        scheduler.run(maximumTurns: 200_000)
        scheduler.stopListening()
        scheduler.endAllConnections()
        scheduler.run(maximumTurns: 200_000)
        #expect(ledger.complaints.isEmpty, "seed \(seed): \(ledger.complaints)")
        #expect(ledger.alive == 0)
        #expect(network.openDescriptorCount == 0)
        #expect(scheduler.reactors.allSatisfy { $0.connectionCount == 0 && $0.handle.connectionLoad == 0 })
        let counted = scheduler.reactors.reduce(0) { $0 + Int($1.handle.counters[.handedOff]) }
        #expect(counted == ledger.handOffs)
        #expect(scheduler.reactors.allSatisfy { $0.handle.counters[.bufferedBytes] == 0 })
    }
}
