// SPDX-License-Identifier: Apache-2.0

import SpindleCore
import SpindleSimulation
import Testing

@testable import SpindleReactor

extension Contract {
    @Suite("connecting") struct Connecting {
        /// What became of a `connect`.
        private final class Outcome {
            var results: [Result<any StreamProtocol, ConnectError>] = []
            var reason: String {
                guard case .failure(let error)? = results.first else { return "" }
                return "\(error.reason)"
            }
        }

        @Test("a connection of this side comes to life once, after its connectionMade", arguments: DriverKind.allCases)
        func connects(kind: DriverKind) throws {
            try withBench(kind) { bench in
                let address = try bench.listen()
                let outcome = Outcome()
                bench.reactor.connect(to: address) {
                    try bench.makeProtocol($0)
                } completion: {
                    outcome.results.append($0)
                }
                #expect(outcome.results.isEmpty, "not within the call")
                bench.turn("both ends stand") { bench.protocols.count == 2 && outcome.results.count == 1 }
                let proto = try #require(try outcome.results[0].get() as? TestProtocol)
                #expect(proto.callbacks == [.made] && proto.transport.peerAddress == address)
                proto.transport.write("hello")
                let server = try #require(bench.protocols.first { $0 !== proto })
                bench.turn("it arrives") { server.received == Array("hello".utf8) }
                proto.transport.loseConnection()
                bench.turn("both have ended") { bench.protocols.allSatisfy(\.isLost) }
                #expect(outcome.results.count == 1)
            }
        }

        @Test("a refused connection fails with its error, and no protocol is built", arguments: DriverKind.allCases)
        func refused(kind: DriverKind) throws {
            try withBench(kind) { bench in
                let address = try bench.listen()
                bench.reactor.stopListening()
                let outcome = Outcome()
                bench.reactor.connect(to: address) {
                    try bench.makeProtocol($0)
                } completion: {
                    outcome.results.append($0)
                }
                bench.turn("it has failed") { !outcome.results.isEmpty }
                #expect(outcome.reason == "lost: \(Errno.connectionRefused)" && bench.protocols.isEmpty)
                bench.turn()
                #expect(outcome.results.count == 1)
            }
        }

        @Test("C6: a build that returns nil gives the connection up at once", arguments: DriverKind.allCases)
        func givenUp(kind: DriverKind) throws {
            try withBench(kind) { bench in
                let address = try bench.listen()
                let outcome = Outcome()
                bench.reactor.connect(to: address) { _ in
                    nil
                } completion: {
                    outcome.results.append($0)
                }
                bench.turn("it has failed") { !outcome.results.isEmpty }
                #expect(outcome.reason == "\(DisconnectReason.aborted)")
                bench.turn("the other end is told") { bench.protocols.first?.isLost == true }
            }
        }

        @Test("a connection that is not established in time fails with that, once")
        func timeout() throws {
            try withBench(.simulated) { bench in
                let address = try bench.listen()
                bench.network?.faults.delays = .seconds(5) ... .seconds(5)
                let outcome = Outcome()
                bench.reactor.connect(to: address, timeout: .seconds(2)) {
                    try bench.makeProtocol($0)
                } completion: {
                    outcome.results.append($0)
                }
                bench.advance(by: .milliseconds(1999))
                bench.turn(times: 3)
                #expect(outcome.results.isEmpty)
                bench.advance(by: .milliseconds(2))
                bench.turn("it has failed") { !outcome.results.isEmpty }
                #expect(outcome.reason == "\(DisconnectReason.timedOut(.connect))")
                bench.advance(by: .seconds(20))
                bench.turn()
                #expect(outcome.results.count == 1)
            }
        }

        @Test("a connection comes from the local address that was asked for")
        func localAddress() throws {
            try withBench(.epoll) { bench in
                let address = try bench.listen()
                let local = SocketAddress.ipv4(0x7f00_0009, port: 0)
                bench.reactor.connect(to: address, from: local) { try bench.makeProtocol($0) }
                bench.turn("both ends stand") { bench.protocols.count == 2 }
                #expect(bench.protocols.contains { $0.transport.peerAddress.host == "127.0.0.9" })
            }
        }

        @Test("a drain does not wait for what is still being established")
        func drainWhileConnecting() throws {
            try withBench(.simulated) { bench in
                let address = try bench.listen()
                bench.network?.faults.delays = .seconds(60) ... .seconds(60)
                let outcome = Outcome()
                bench.reactor.connect(to: address, timeout: .seconds(100)) { _ in
                    nil
                } completion: {
                    outcome.results.append($0)
                }
                var isDrained = false
                bench.reactor.drain { isDrained = true }
                bench.turn("the drain is over") { isDrained }
                #expect(outcome.reason == "\(DisconnectReason.engineStopped)")
            }
        }

        @Test(
            "who connects again when a connection ends cannot keep a stop from ending",
            arguments: DriverKind.allCases
        )
        func reconnecting(kind: DriverKind) throws {
            try withBench(kind) { bench in
                var attempts = 0
                var address: SocketAddress?
                func connectAgain() {
                    attempts += 1
                    guard attempts < 100, let address else { return }
                    bench.reactor.connect(to: address) { transport in
                        try bench.makeProtocol(transport) { _, callback in if callback == .lost { connectAgain() } }
                    } completion: {
                        if case .failure = $0 { connectAgain() }
                    }
                }
                address = try bench.listen()
                connectAgain()
                bench.turn("it stands") { bench.protocols.count == 2 }
                bench.reactor.endAllConnections()
                #expect(bench.reactor.connectionCount == 0)
                #expect(attempts == 100, "each attempt failed at once, with an answer")
            }
        }

        @Test(
            "C38: a client's factory starts with its first connection and stops with its last, beside listeners",
            arguments: DriverKind.allCases
        )
        func factory(kind: DriverKind) throws {
            try withBench(kind) { bench in
                final class Counting: StreamProtocolFactory {
                    let bench: ContractBench
                    var events: [String] = []
                    var made: () -> Void = {}
                    init(_ bench: ContractBench) { self.bench = bench }
                    func startFactory() { events.append("start") }
                    func stopFactory() { events.append("stop") }
                    func buildProtocol(for transport: any StreamTransport) throws -> (any StreamProtocol)? {
                        try bench.makeProtocol(transport) { [self] _, callback in
                            if callback == .made { made() }
                            if callback == .lost { events.append("protocol lost") }
                        }
                    }
                }
                let factory = Counting(bench)
                let address = try bench.listen()
                func connect(_ target: SocketAddress) {
                    bench.reactor.connect(to: .address(target), factory: factory) { _ in
                        factory.events.append("lost")
                    } completion: { result in
                        if case .failure = result { factory.events.append("failed") }
                    }
                }
                connect(address)
                connect(address)
                #expect(factory.events == ["start"])
                bench.turn("all four ends stand") { bench.protocols.count == 4 }
                let mine = bench.protocols.filter { $0.transport.peerAddress == address }
                #expect(mine.count == 2)
                mine[0].transport.loseConnection()
                bench.turn("one has ended") { factory.events == ["start", "protocol lost", "lost"] }
                // A listener uses the same object: it goes on.
                try bench.listen(factory: factory)
                mine[1].transport.abortConnection()
                bench.turn("both have ended") { factory.events.count == 5 }
                bench.reactor.stopListening()
                #expect(factory.events.suffix(3) == ["protocol lost", "lost", "stop"])
                connect(address)
                bench.turn("it has failed") { factory.events.suffix(3) == ["start", "failed", "stop"] }
                // Given up within `connectionMade`: the protocol's end comes before the factory's.
                let other = try bench.listen()
                var attempt: ConnectAttempt?
                factory.made = { attempt?.cancel() }
                attempt = bench.reactor.connect(to: .address(other), factory: factory)
                bench.turn("it is over") { factory.events.suffix(3) == ["start", "protocol lost", "stop"] }
                factory.made = {}
            }
        }
    }
}
