// SPDX-License-Identifier: Apache-2.0

import Spindle

/// How long a message waits on a reactor that 1,000 connections keep busy.
///
/// Reactor 0 plays ping-pong over them with an echo server (in C, on the other CPU); reactor 1 sends it a value
/// every millisecond. Both clocks are CLOCK_MONOTONIC, so one way can be measured, and the wake of reactor 1,
/// which shares its CPU with the server, is not part of it.
enum BusyReactor {
    private final class PingPong: StreamProtocol {
        let transport: any StreamTransport
        init(_ transport: any StreamTransport) { self.transport = transport }
        func connectionMade() { transport.write([UInt8](repeating: 7, count: 64)) }
        func dataReceived(_ bytes: Span<UInt8>) { transport.write(bytes) }
    }

    static func run(_ arguments: Arguments) async throws -> Figures {
        let trips = arguments.number("trips", default: 3000)
        let connections = arguments.number("connections", default: 1000)
        let port = arguments.number("port", default: 0)
        guard port < 65536 else { Arguments.refuse("--port \(port): at most 65535") }
        let pair = try TwoReactors(idleSpin: .zero)
        let times = HandedAround<[UInt64]>([])
        let channel = pair.engine.makeChannel { (sent: UInt64, _) in
            guard let reactor = Reactor.current, times.value.count < trips else { return }
            times.value.append(reactor.readClock().nanoseconds - sent)
            guard times.value.count == trips else { return }
            let sorted = times.value.sorted()
            pair.finish([
                "p50": Figures.quantile(0.5, of: sorted), "p99": Figures.quantile(0.99, of: sorted),
                "max": Double(sorted[sorted.count - 1]),
            ])
        }
        let standing = HandedAround(0)
        return try await pair.measure { reactor in
            for _ in 0..<connections {
                reactor.connect(to: .loopback(port: UInt16(port))) {
                    PingPong($0)
                } completion: { result in
                    if case .failure(let error) = result { Arguments.refuse("\(error)") }
                    standing.value += 1
                    guard standing.value == connections else { return }
                    pair.engine.reactors[1].submit {
                        Reactor.current?.callRepeatedly(every: .milliseconds(1)) { _ in
                            guard let now = Reactor.current?.readClock().nanoseconds else { return }
                            channel.send(now, to: 0)
                        }
                    }
                }
            }
        }
    }
}
