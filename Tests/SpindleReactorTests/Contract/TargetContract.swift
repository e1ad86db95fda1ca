// SPDX-License-Identifier: Apache-2.0

import SpindleCore
import SpindleSimulation
import Testing

@testable import SpindleReactor

extension Contract {
    @Suite("connecting to names") struct Targets {
        /// What became of a `connect`, in order.
        private final class Story {
            var events: [String] = []
            var proto: TestProtocol?
            func note(_ result: Result<any StreamProtocol, ConnectError>) {
                switch result {
                case .success(let proto):
                    self.proto = proto as? TestProtocol
                    events.append("connected \(proto.transport.peerAddress)")
                case .failure(let error): events.append("\(error)")
                }
            }
        }

        /// Names as a test has them; answers at once, or when the test says so.
        private struct ScriptedResolver: NameResolver {
            var addresses: [String: [SocketAddress]] = [:]
            func resolve(
                _ host: String,
                port: UInt16,
                completion: @escaping (Result<[SocketAddress], ResolveError>) -> Void
            ) {
                guard let found = addresses[host] else {
                    return completion(
                        .failure(ResolveError(host: host, reason: "nobody knows it", isTemporary: false))
                    )
                }
                completion(.success(found.map { $0.with(port: port) }))
            }
        }

        private struct Setting {
            let bench: ContractBench
            let address: SocketAddress
            let dead: [SocketAddress]
            let story = Story()

            init(_ bench: ContractBench, names: [String: [SocketAddress]] = [:]) throws {
                self.bench = bench
                address = try bench.listen()
                dead = [.loopback6(port: address.port), .ipv4(0x7f00_0063, port: address.port)]
                bench.network?.faults.silentAddresses = Set(dead)
            }

            func connect(_ addresses: [SocketAddress], _ options: ConnectOptions = ConnectOptions()) -> ConnectAttempt {
                bench.reactor.resolver = ScriptedResolver(addresses: ["there": addresses])
                return bench.reactor.connect(to: .host("there", port: address.port), options: options) { transport in
                    try bench.makeProtocol(transport) { [story] _, callback in
                        if callback == .lost { story.events.append("protocol lost") }
                    }
                } lost: { [story] reason in
                    story.events.append("lost \(reason)")
                } completion: { [story] in
                    story.note($0)
                }
            }
        }

        @Test("C3: the protocol is told of the end before the one who connected", arguments: DriverKind.allCases)
        func order(kind: DriverKind) throws {
            try withBench(kind) { bench in
                let setting = try Setting(bench)
                _ = setting.connect([setting.address])
                #expect(setting.story.events.isEmpty, "not within the call")
                bench.turn("it stands") { setting.story.events == ["connected \(setting.address)"] }
                setting.story.proto?.transport.loseConnection()
                bench.turn("it has ended") { setting.story.events.count == 3 }
                #expect(setting.story.events.dropFirst() == ["protocol lost", "lost done"])
                #expect(bench.reactor.attempts.isEmpty)
            }
        }

        @Test("RFC 8305: a dead first address delays a connection by 250 ms, and not by more")
        func deadFirst() throws {
            try withBench(.simulated) { bench in
                let setting = try Setting(bench)
                _ = setting.connect([setting.dead[0], setting.address, setting.dead[1]])
                bench.advance(by: .milliseconds(249))
                bench.turn(times: 5)
                #expect(setting.story.events.isEmpty)
                bench.advance(by: .milliseconds(2))
                bench.turn("it stands") { setting.story.events == ["connected \(setting.address)"] }
                bench.advance(by: .seconds(60))
                bench.turn(times: 5)
                #expect(setting.story.events.count == 1)
                #expect(bench.reactor.connectionCount == 2, "the attempt that lost is gone")
            }
        }

        @Test("an address that refuses does not keep the next one waiting", arguments: DriverKind.allCases)
        func refusedFirst(kind: DriverKind) throws {
            try withBench(kind) { bench in
                let setting = try Setting(bench)
                _ = setting.connect([.ipv4(0x7f00_0058, port: setting.address.port), setting.address])
                bench.turn("it stands") { setting.story.events == ["connected \(setting.address)"] }
                #expect(bench.protocols.count == 2, "one protocol at each end")
            }
        }

        @Test("when every address fails, each one's reason is told", arguments: DriverKind.allCases)
        func allFail(kind: DriverKind) throws {
            try withBench(kind) { bench in
                let setting = try Setting(bench)
                let port = setting.address.port
                _ = setting.connect([.ipv4(0x7f00_0058, port: port), .ipv4(0x7f00_0057, port: port)])
                bench.turn("it has failed") { !setting.story.events.isEmpty }
                let refused = "lost: \(Errno.connectionRefused)"
                #expect(
                    setting.story.events == [
                        "cannot connect to there:\(port): 127.0.0.88:\(port): \(refused); "
                            + "127.0.0.87:\(port): \(refused)"
                    ]
                )
                #expect(bench.protocols.isEmpty)
            }
        }

        @Test("the time limit holds for the name and all of its addresses together")
        func timeout() throws {
            try withBench(.simulated) { bench in
                let setting = try Setting(bench)
                var options = ConnectOptions()
                options.timeout = .seconds(1)
                let attempt = setting.connect(setting.dead, options)
                bench.advance(by: .milliseconds(999))
                bench.turn(times: 5)
                #expect(attempt.isUnderway && setting.story.events.isEmpty)
                bench.advance(by: .milliseconds(2))
                bench.turn("it has failed") { !attempt.isUnderway }
                #expect(
                    setting.story.events == ["cannot connect to there:\(setting.address.port): timed out (connect)"]
                )
                bench.turn(times: 5)
                #expect(bench.reactor.connectionCount == 0, "nothing of it is left")
            }
        }

        @Test("cancel gives up at once, whatever is underway, and tells so once", arguments: [0, 1, 300])
        func cancel(milliseconds: Int64) throws {
            try withBench(.simulated) { bench in
                let setting = try Setting(bench)
                let attempt = setting.connect(setting.dead)
                bench.advance(by: .milliseconds(milliseconds))
                bench.turn(times: 5)
                attempt.cancel()
                #expect(
                    setting.story.events == ["cannot connect to there:\(setting.address.port): aborted by this side"]
                )
                attempt.cancel()
                bench.advance(by: .seconds(60))
                bench.turn(times: 5)
                #expect(setting.story.events.count == 1 && bench.reactor.connectionCount == 0)
            }
        }

        @Test(
            "a name that nobody knows fails with that; a numeric one is not looked up",
            arguments: DriverKind.allCases
        )
        func names(kind: DriverKind) throws {
            try withBench(kind) { bench in
                let setting = try Setting(bench)
                let port = setting.address.port
                bench.reactor.connect(to: .host("nowhere", port: port)) { _ in
                    nil
                } completion: {
                    setting.story.note($0)
                }
                #expect(setting.story.events.isEmpty, "not within the call")
                bench.turn("it has failed") { !setting.story.events.isEmpty }
                #expect(
                    setting.story.events == [
                        "cannot connect to nowhere:\(port): the name nowhere can't be looked up: "
                            + "this reactor has no resolver"
                    ]
                )
                bench.reactor.connect(to: .host("127.0.0.1", port: port)) {
                    try bench.makeProtocol($0)
                } completion: {
                    setting.story.note($0)
                }
                bench.turn("it stands") { setting.story.events.last == "connected \(setting.address)" }
            }
        }

        @Test("a stop ends what is underway, names that are being looked up included")
        func stop() throws {
            try withBench(.simulated) { bench in
                let setting = try Setting(bench)
                struct Silence: NameResolver {
                    func resolve(
                        _ host: String,
                        port: UInt16,
                        completion: @escaping (Result<[SocketAddress], ResolveError>) -> Void
                    ) {}
                }
                _ = setting.connect(setting.dead)
                bench.reactor.resolver = Silence()
                bench.reactor.connect(to: .host("slow", port: 1)) { _ in
                    nil
                } completion: {
                    setting.story.note($0)
                }
                var isDrained = false
                bench.reactor.drain { isDrained = true }
                bench.turn("the drain is over") { isDrained }
                #expect(setting.story.events.count == 2)
                #expect(setting.story.events.allSatisfy { $0.hasSuffix(": the engine stopped") })
            }
        }

        @Test(
            "cancel within the build or within connectionMade leaves no connection behind",
            arguments: DriverKind.allCases
        )
        func cancelInside(kind: DriverKind) throws {
            for inBuild in [true, false] {
                try withBench(kind) { bench in
                    let address = try bench.listen()
                    let story = Story()
                    var attempt: ConnectAttempt?
                    attempt = bench.reactor.connect(to: .address(address)) { transport in
                        if inBuild { attempt?.cancel() }
                        return try bench.makeProtocol(transport) { _, callback in
                            story.events.append("\(callback)")
                            if callback == .made { attempt?.cancel() }
                        }
                    } completion: {
                        story.note($0)
                    }
                    bench.turn("it is over") { !story.events.isEmpty && bench.reactor.connectionCount <= 1 }
                    bench.turn("the other end is told") { bench.reactor.connectionCount == 0 }
                    let said = story.events.filter { $0.hasPrefix("cannot connect") }
                    #expect(said == ["cannot connect to \(address): aborted by this side"])
                    #expect(story.events.contains("made") == !inBuild)
                }
            }
        }

        @Test(
            "of a piece that is put back but for its first byte, every byte comes once, in order",
            arguments: [64]
        )
        func keptBytes(pieces: Int) throws {
            try withBench(.simulated) { bench in
                let (client, proto) = try bench.pair { proto, callback in
                    if callback == .made {
                        proto.onBytes = { proto, bytes in
                            // One byte is used, the rest comes again.
                            if bytes.count > 1 { proto.transport.unread(bytes.extracting(droppingFirst: 1)) }
                        }
                    }
                }
                client.send(pattern(pieces))
                bench.turn("all came") { proto.pieces == Array((1...pieces).reversed()) }
            }
        }
    }
}
