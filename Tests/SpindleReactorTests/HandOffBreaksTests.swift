// SPDX-License-Identifier: Apache-2.0

import SpindleCore
import SpindleReactor
import SpindleSimulation
import Testing

/// Is reset while its callback runs, writes more than the watermark, and wants to leave.
private final class Unlucky: StreamProtocol {
    let transport: any StreamTransport
    let pauses: Bool
    let reset: () -> Void
    let target: ReactorHandle
    var reasons: [String] = []

    init(_ transport: any StreamTransport, pauses: Bool, to target: ReactorHandle, reset: @escaping () -> Void) {
        (self.transport, self.pauses, self.target, self.reset) = (transport, pauses, target, reset)
    }

    func dataReceived(_ bytes: Span<UInt8>) {
        if pauses { transport.pauseProducing() }
        reset()
        transport.write([UInt8](repeating: 1, count: 2000))
        transport.handOff(to: target) { Follower($0) }
    }

    func connectionLost(_ reason: DisconnectReason) { reasons.append("\(reason)") }
}

/// Says how it ended.
private final class Follower: StreamProtocol {
    nonisolated(unsafe) static var reasons: [String] = []
    let transport: any StreamTransport
    init(_ transport: any StreamTransport) { self.transport = transport }
    func dataReceived(_ bytes: Span<UInt8>) {}
    func connectionLost(_ reason: DisconnectReason) { unsafe Follower.reasons.append("\(reason)") }
}

extension HandOffTests {
    @Test(
        "a peer that resets while its connection is handed off ends it with the reset, paused or not",
        arguments: [false, true]
    )
    func broken(pauses: Bool) throws {
        var limits = ReactorConfiguration()
        (limits.writeLowWatermarkBytes, limits.writeHighWatermarkBytes) = (512, 1024)
        let network = SimulatedNetwork()
        let scheduler = SimulatedScheduler(reactorCount: 2, network: network, configuration: limits)
        let target = scheduler.reactors[1].handle
        var peer: SimulatedPeer?
        var made: [Unlucky] = []
        unsafe Follower.reasons = []
        let address = try scheduler.listen(at: .loopback(port: 0), on: [0]) { _ in
            ClosureFactory { transport in
                made.append(Unlucky(transport, pauses: pauses, to: target) { peer?.reset() })
                return made[made.count - 1]
            }
        }
        peer = network.connect(to: address)
        peer?.send("x")
        scheduler.run()
        #expect(made.first?.reasons == ["handed to another reactor"])
        #expect(unsafe Follower.reasons.count == 1)
        #expect(unsafe Follower.reasons.first?.hasPrefix("lost") == true, "\(unsafe Follower.reasons)")
        scheduler.stopListening()
        #expect(network.openDescriptorCount == 0)
    }

    @Test("C49: a connection that comes to a reactor which has drained is drained there: its second drain waits for it")
    func drained() throws {
        final class Mover: StreamProtocol {
            let transport: any StreamTransport
            init(_ transport: any StreamTransport) { self.transport = transport }
            func dataReceived(_ bytes: Span<UInt8>) {}
        }
        let network = SimulatedNetwork()
        let scheduler = SimulatedScheduler(reactorCount: 2, network: network)
        let target = scheduler.reactors[1].handle
        var mover: Mover?
        let address = try scheduler.listen(at: .loopback(port: 0), on: [0]) { _ in
            ClosureFactory {
                mover = Mover($0)
                return mover
            }
        }
        let peer = network.connect(to: address)
        scheduler.run { mover != nil }
        var drains = [false, false, false]
        scheduler.perform(on: 1) { $0.drain { drains[1] = true } }
        scheduler.run { drains[1] }
        scheduler.perform(on: 0) { _ in
            mover?.transport.write([UInt8](repeating: 7, count: 1 << 20))
            mover?.transport.handOff(to: target) { Mover($0) }
        }
        scheduler.perform(on: 0) { $0.drain { drains[0] = true } }
        scheduler.run { drains[0] }
        // As an engine does it: once more, when all have begun.
        scheduler.perform(on: 1) { $0.drain { drains[2] = true } }
        scheduler.run(maximumTurns: 100, noLaterThan: network.now)
        #expect(!drains[2])
        var count = 0
        scheduler.run {
            count += peer.receive().count
            return drains[2]
        }
        count += peer.receive().count
        #expect(count == 1 << 20 && peer.error == nil)
        scheduler.endAllConnections()
        scheduler.stopListening()
    }
}
