// SPDX-License-Identifier: Apache-2.0

import Spindle

/// How long a message waits on a reactor that 1,000 connections keep busy.
///
/// Reactor 0 plays ping-pong over them with an echo server (in C, on the other CPU), with so much work in each
/// callback that it, and not the server, has them ready. Reactor 1 sends it a batch of messages every millisecond,
/// the last of which says when it was sent. Both clocks are CLOCK_MONOTONIC, so one way can be measured. A full batch
/// is shown at once, so that what happens to reactor 1, which shares its CPU with the server, is no part of it.
enum BusyReactor {
    private final class PingPong: StreamProtocol {
        let transport: any StreamTransport
        let work: UInt64

        init(_ transport: any StreamTransport, work: UInt64) {
            self.transport = transport
            self.work = work
        }

        func connectionMade() { transport.write([UInt8](repeating: 7, count: 64)) }

        func dataReceived(_ bytes: Span<UInt8>) {
            if let reactor = Reactor.current {
                let end = reactor.readClock().nanoseconds + work
                while reactor.readClock().nanoseconds < end {}
            }
            transport.write(bytes)
        }
    }

    /// Messages after which a reactor rings the other's bell in the middle of a turn: `Outbox.batchSize`.
    private static let batchSize = 16

    private static func eventsPerTurn(of engine: Engine) -> Double {
        let busy = engine.snapshot().reactors[0]
        return Double(busy[.events]) / Double(busy[.turns])
    }

    static func run(_ arguments: Arguments) async throws -> Figures {
        let trips = arguments.number("trips", default: 3000)
        let connections = arguments.number("connections", default: 1000)
        let work = UInt64(arguments.number("work", default: 3000))
        let port = arguments.number("port", default: 0)
        guard port < 65536 else { Arguments.refuse("--port \(port): at most 65535") }
        let pair = try TwoReactors(idleSpin: .zero)
        let times = HandedAround<[UInt64]>([])
        let channel = pair.engine.makeChannel { (sent: UInt64, _) in
            guard sent > 0, let reactor = Reactor.current, times.value.count < trips else { return }
            times.value.append(reactor.readClock().nanoseconds - sent)
            guard times.value.count == trips else { return }
            let sorted = times.value.sorted()
            pair.finish([
                "p50": Figures.quantile(0.5, of: sorted), "p99": Figures.quantile(0.99, of: sorted),
                "max": Double(sorted[sorted.count - 1]), "eventsPerTurn": eventsPerTurn(of: pair.engine),
            ])
        }
        let standing = HandedAround(0)
        return try await pair.measure { reactor in
            for _ in 0..<connections {
                reactor.connect(to: .loopback(port: UInt16(port))) {
                    PingPong($0, work: work)
                } completion: { result in
                    if case .failure(let error) = result { Arguments.refuse("\(error)") }
                    standing.value += 1
                    guard standing.value == connections else { return }
                    pair.engine.reactors[1].submit {
                        Reactor.current?.callRepeatedly(every: .milliseconds(1)) { _ in
                            for _ in 1..<batchSize { channel.send(0, to: 0) }
                            guard let now = Reactor.current?.readClock().nanoseconds else { return }
                            channel.send(now, to: 0)
                        }
                    }
                }
            }
        }
    }
}
