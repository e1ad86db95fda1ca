// SPDX-License-Identifier: Apache-2.0

import Spindle
import SpindleSimulation

/// A server on a simulated reactor, and a peer of it: whatever a callback costs, without a kernel.
private struct Bench {
    let network: SimulatedNetwork
    let scheduler: SimulatedScheduler
    let address: SocketAddress

    init(_ make: @escaping @Sendable (any StreamTransport) -> any StreamProtocol) throws {
        network = SimulatedNetwork()
        scheduler = SimulatedScheduler(reactorCount: 1, network: network)
        address = try scheduler.listen(at: .loopback(port: 0)) { _ in ClosureFactory { make($0) } }
    }

    /// A peer whose connection has been accepted.
    func connected() -> SimulatedPeer {
        let peer = network.connect(to: address)
        scheduler.turn(0)
        return peer
    }
}

private final class Echo: StreamProtocol {
    let transport: any StreamTransport
    init(_ transport: any StreamTransport) { self.transport = transport }
    func dataReceived(_ bytes: Span<UInt8>) { transport.write(bytes) }
}

/// Answers in four pieces, which leave together when the callback returns.
private final class FourPieces: StreamProtocol {
    let transport: any StreamTransport
    private let piece = [UInt8](repeating: 5, count: 16)
    init(_ transport: any StreamTransport) { self.transport = transport }
    func dataReceived(_ bytes: Span<UInt8>) {
        for _ in 0..<4 { transport.write(piece) }
    }
}

/// Answers with more than the socket takes, so that the rest is queued and leaves as the peer reads.
private final class Large: StreamProtocol {
    static let answer = [UInt8](repeating: 6, count: 256 << 10)
    let transport: any StreamTransport
    init(_ transport: any StreamTransport) { self.transport = transport }
    func dataReceived(_ bytes: Span<UInt8>) { transport.write(Large.answer) }
}

extension Operation {
    static let connections = [
        Operation("echo", "64 B received and written back in a callback; the simulated network included") {
            let bench = try Bench { Echo($0) }
            let peer = bench.connected()
            return exchange(with: peer, on: bench, sending: 64, receiving: 64)
        },
        Operation("connection", "a connection accepted, its protocol made, and all of it gone") {
            let bench = try Bench { Echo($0) }
            return { count in
                for _ in 0..<count {
                    bench.connected().close()
                    // The end is read in one turn and the descriptor closed in the next.
                    while bench.scheduler.reactors[0].connectionCount > 0 { bench.scheduler.turn(0) }
                }
            }
        },
    ]

    static let writing = [
        Operation("cork", "an answer of four pieces of 16 B, sent as one") {
            let bench = try Bench { FourPieces($0) }
            let peer = bench.connected()
            return exchange(with: peer, on: bench, sending: 1, receiving: 64)
        },
        Operation("write-queue", "256 KiB answered, most of which waits until the peer has read", repetitions: 16) {
            let bench = try Bench { Large($0) }
            let peer = bench.connected()
            return exchange(with: peer, on: bench, sending: 1, receiving: Large.answer.count)
        },
    ]

    private static func exchange(
        with peer: SimulatedPeer,
        on bench: Bench,
        sending: Int,
        receiving: Int
    ) -> (Int) -> Void {
        let message = [UInt8](repeating: 7, count: sending)
        return { count in
            for _ in 0..<count {
                peer.send(message)
                var received = 0
                while received < receiving {
                    bench.scheduler.turn(0)
                    received += peer.receive().count
                }
                precondition(received == receiving, "\(received) bytes came, not \(receiving)")
            }
        }
    }
}
