// SPDX-License-Identifier: Apache-2.0

import Spindle
import SpindleSimulation

/// N reactors on one thread, each with 16 simulated connections to whichever echo server takes them: what an echo
/// costs by the number of reactors. Instructions and allocations are counted from outside, of two lengths, subtracted.
enum SimulatedEcho {
    private final class Echo: StreamProtocol {
        let transport: any StreamTransport
        init(_ transport: any StreamTransport) { self.transport = transport }
        func dataReceived(_ bytes: Span<UInt8>) { transport.write(bytes) }
    }

    /// The client's side: sends back what comes, and counts it.
    private final class Player: StreamProtocol {
        let transport: any StreamTransport
        let echoes: HandedAround<Int>
        init(_ transport: any StreamTransport, _ echoes: HandedAround<Int>) {
            self.transport = transport
            self.echoes = echoes
        }
        func connectionMade() { transport.write([UInt8](repeating: 7, count: 64)) }
        func dataReceived(_ bytes: Span<UInt8>) {
            echoes.value += 1
            transport.write(bytes)
        }
    }

    private static let connectionsPerReactor = 16

    static func run(_ arguments: Arguments) throws -> Figures {
        let count = arguments.number("reactors", default: 1)
        let wanted = arguments.number("echoes", default: 100_000)
        let network = SimulatedNetwork(seed: 1)
        let scheduler = SimulatedScheduler(reactorCount: count, network: network)
        let echoes = HandedAround(0)
        let address = try scheduler.listen(at: .loopback(port: 0)) { _ in ClosureFactory { Echo($0) } }
        for index in 0..<count {
            scheduler.perform(on: index) { reactor in
                for _ in 0..<connectionsPerReactor { reactor.connect(to: address) { Player($0, echoes) } }
            }
        }
        // Every reactor in turn, whether it has something to do or not: the scheduler's choices are not counted.
        while echoes.value < wanted {
            let before = echoes.value
            for index in 0..<count { scheduler.turn(index) }
            if echoes.value == before, let arrival = network.nextArrival { network.advance(to: arrival) }
        }
        return ["echoes": Double(echoes.value), "turns": Double(scheduler.turnCount)]
    }
}
