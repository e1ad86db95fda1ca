// SPDX-License-Identifier: Apache-2.0

import SpindleCore
import SpindleSimulation
import SpindleSystem
import Testing

@testable import SpindleReactor

private struct Complaint: Error {}

/// Sends a datagram for each line of the log.
private final class SendingLog: LogSink {
    // Used by the reactor's thread alone, which writes the log.
    nonisolated(unsafe) var send: ((String) -> Void)?
    func write(_ record: LogRecord) { unsafe send?(record.message) }
}

extension Contract {
    /// Sockets that are opened, closed and used at odd times.
    @Suite(.serialized) struct DatagramLife {
        @Test("a socket may be opened while another's protocol is made", arguments: DriverKind.allCases)
        func nested(kind: DriverKind) throws {
            try withDatagrams(kind) { bench in
                var inner: TestDatagrams?
                let outer = try bench.open { _ in
                } _: { proto, callback, origin in
                    DatagramBench.echo(proto, callback, origin)
                }
                try bench.bench.reactor.openUDP(on: .loopback(port: 0)) { transport in
                    inner = try bench.open()
                    return TestDatagrams(transport, depth: bench.bench.depth, script: DatagramBench.echo)
                }
                #expect(bench.bench.reactor.ports.count == 3)
                let client = try bench.client()
                for proto in [outer, try #require(inner)] {
                    client.send("x", to: proto.transport.localAddress)
                    bench.turn("it has come") { proto.texts == ["x"] }
                }
            }
        }

        @Test(
            "what is opened within a callback begins behind it, and before its first datagram",
            arguments: DriverKind.allCases
        )
        func openedInside(kind: DriverKind) throws {
            try withDatagrams(kind) { bench in
                var opened: TestDatagrams?
                let proto = try bench.open { _ in
                } _: { _, callback, _ in
                    guard case .received = callback else { return }
                    opened = try bench.open()
                    #expect(opened?.callbacks.isEmpty == true)
                }
                let client = try bench.client()
                client.send("0", to: proto.transport.localAddress)
                bench.turn("it has come") { opened != nil }
                let inner = try #require(opened)
                client.send("1", to: inner.transport.localAddress)
                bench.turn("it has come") { inner.received.count == 1 }
                #expect(inner.callbacks.first == .started && bench.bench.depth.deepest == 1)
            }
        }

        @Test("while its protocol is made a socket can send, and be closed", arguments: DriverKind.allCases)
        func building(kind: DriverKind) throws {
            try withDatagrams(kind) { bench in
                let (reactor, depth) = (bench.bench.reactor, bench.bench.depth)
                let client = try bench.client()
                var made: [TestDatagrams] = []
                for closes in [false, true] {
                    let transport = try reactor.openUDP(on: .loopback(port: 0)) { transport in
                        #expect(transport.send("early", to: client.address) == .queued)
                        if closes { transport.close() }
                        made.append(TestDatagrams(transport, depth: depth, script: DatagramBench.echo))
                        return made[made.count - 1]
                    }
                    #expect(transport.isOpen == !closes)
                }
                bench.bench.turn()
                #expect(client.texts == ["early", "early"])
                #expect(made.map(\.callbacks) == [[.started], []], "one that was closed never began")
                #expect(bench.bench.counter(.liveProtocols) == 1)
            }
        }

        @Test(
            "a protocol that can't be made sends nothing, from this socket or another",
            arguments: DriverKind.allCases
        )
        func failing(kind: DriverKind) throws {
            try withDatagrams(kind) { bench in
                let client = try bench.client()
                #expect(throws: DatagramError.self) {
                    try bench.bench.reactor.openUDP(on: .loopback(port: 0)) { transport in
                        transport.send("secret", to: client.address)
                        throw Complaint()
                    }
                }
                // Has the number that was let go of.
                let other = try bench.open()
                other.transport.send("public", to: client.address)
                bench.bench.turn()
                #expect(client.texts == ["public"])
                #expect(bench.bench.counter(.datagramsUnsent) == 1)
            }
        }

        @Test(
            "no limit is one that is not given; 0 and less answer nothing, and huge ones do not overflow",
            arguments: DriverKind.allCases
        )
        func limits(kind: DriverKind) throws {
            try withDatagrams(kind) { bench in
                let client = try bench.client()
                for (limit, answers) in [(0, 0), (-1, 0), (Int.max, 1)] {
                    let proto = try bench.open(on: .loopback(port: 0), { $0.replyLimit = limit }) {
                        proto,
                        callback,
                        _ in
                        if case .received = callback { proto.transport.reply([UInt8](repeating: 1, count: 60_000)) }
                    }
                    client.send("x", to: proto.transport.localAddress)
                    bench.turn("it has come") { proto.received.count == 1 }
                    #expect(client.receiveAll().count == answers)
                }
            }
        }

        @Test("what had come when its socket was closed is counted", arguments: DriverKind.allCases)
        func untold(kind: DriverKind) throws {
            try withDatagrams(kind) { bench in
                let proto = try bench.open {
                    $0.usesGroups = false
                } _: { proto, callback, _ in
                    if case .received([9], _) = callback { proto.transport.close() }
                }
                let client = try bench.client()
                client.send([0], to: proto.transport.localAddress)
                bench.turn("it has come") { proto.received.count == 1 }
                for number in 0..<20 { client.send([number == 2 ? 9 : 1], to: proto.transport.localAddress) }
                bench.turn("it is closed") { !proto.transport.isOpen }
                #expect(proto.received.count == 4)
                #expect(bench.bench.counter(.datagramsReceived) + bench.bench.counter(.datagramsUntold) == 21)
            }
        }

        @Test("of a run that is refused, each datagram is counted")
        func refusedRun() throws {
            try withDatagrams(.simulated) { bench in
                let proto = try bench.open()
                let run = [UInt8](repeating: 1, count: 3950)
                #expect(proto.transport.reply(run.span, each: 100) == .dropped(.noPeer))
                #expect(bench.bench.counter(.datagramsRefused) == 40)
            }
        }

        @Test("nobody is answered, or sent to, at port 0", arguments: DriverKind.allCases)
        func portZero(kind: DriverKind) throws {
            try withDatagrams(kind) { bench in
                let proto = try bench.open()
                #expect(proto.transport.send("x", to: .loopback(port: 0)) == .dropped(.noPeer))
                #expect(DatagramPeer(.loopback(port: 0), ofIPv6Socket: false)?.hasPort == false)
                #expect(DatagramPeer(.loopback6(port: 1), ofIPv6Socket: true)?.hasPort == true)
            }
        }

        @Test("datagrams that fail for another reason than their size leave the others joined, and so does time")
        func segmentsComeBack() throws {
            try withDatagrams(.simulated) { bench in
                let (proto, network) = (try bench.open(), bench.bench.network!)
                let client = try bench.client()
                let port = try #require(proto.transport as? DatagramPort)
                let most = port.largestSegment
                network.failNextSends(with: [Errno](repeating: .invalidArgument, count: 4))
                for _ in 0..<3 { proto.transport.send("same size", to: client.address) }
                bench.bench.turn()
                #expect(port.largestSegment == most && bench.bench.counter(.datagramsUnsent) == 3)
                network.failNextSends(with: [.invalidArgument])
                for _ in 0..<3 { proto.transport.send("same size", to: client.address) }
                bench.bench.turn()
                #expect(port.largestSegment == 8 && client.receiveAll().count == 3)
                bench.bench.advance(by: .seconds(11))
                bench.bench.turn()
                proto.transport.send("same size", to: client.address)
                #expect(port.largestSegment == most)
            }
        }

        @Test("whoever takes the log may send datagrams: they leave from their own socket")
        func logging() throws {
            let log = SendingLog()
            let network = SimulatedNetwork()
            let drivers = SimulatedDrivers(network: network)
            let configuration = ReactorConfiguration()
            let reactor = Reactor(
                driver: drivers.makeSimulatedDriver(reactor: 0, configuration: configuration),
                log: log
            )
            try reactor.perform {
                let client = try DatagramClient(network.openDatagramPeer())
                let transports = try (0..<2).map { _ in
                    try reactor.openUDP(on: .loopback(port: 0)) {
                        TestDatagrams($0, depth: CallbackDepth(), script: DatagramBench.echo)
                    }
                }
                unsafe log.send = { _ in transports[1].send("log", to: client.address) }
                network.failNextSends(with: [.networkUnreachable])
                transports[0].send("bad", to: client.address)
                for _ in 0..<3 { reactor.turn(maximumWait: 0) }
                let came = client.receiveAll()
                #expect(came.map(\.from) == [transports[1].localAddress])
                unsafe log.send = nil
                client.close()
            }
            reactor.tearDown()
            #expect(network.socketCount == 0)
        }

        @Test("a reactor goes though a socket of its had datagrams left")
        func noLeak() throws {
            let before = Reactor.liveCount
            do {
                let drivers = SimulatedDrivers(network: SimulatedNetwork())
                let configuration = ReactorConfiguration()
                let reactor = Reactor(driver: drivers.makeSimulatedDriver(reactor: 0, configuration: configuration))
                try reactor.perform {
                    let transport = try reactor.openUDP(on: .loopback(port: 0)) {
                        TestDatagrams($0, depth: CallbackDepth(), script: DatagramBench.echo)
                    }
                    transport.pauseReading()
                    transport.resumeReading()
                }
                reactor.tearDown()
            }
            #expect(Reactor.liveCount == before)
        }

        @Test("a mark of congestion leaves the class of service, and reaches a connected peer, too")
        func trafficClass() throws {
            try withDatagrams(.epoll) { bench in
                for address in [SocketAddress.loopback(port: 0), .loopback6(port: 0)] {
                    let server = try bench.open(on: address) { $0.tellsECN = true }
                    let client = try bench.open(on: nil, connectedTo: server.transport.localAddress) {
                        $0.settings = [SocketSetting(.dscp, 46)!]
                    }
                    let marked = DatagramSendOptions(ecn: .capable0)
                    #expect(client.transport.send([1].span, to: nil, options: marked) == .queued)
                    bench.turn("it has come") { server.received.count == 1 }
                    #expect(server.origins.map(\.ecn) == [.capable0])
                    #expect((client.transport as? DatagramPort)?.trafficClass == 46 << 2)
                    try client.transport.set(.dscp, to: 10)
                    #expect((client.transport as? DatagramPort)?.trafficClass == 10 << 2)
                }
            }
        }
    }
}
