// SPDX-License-Identifier: Apache-2.0

import SpindleCore
import SpindleProtocols
import SpindleReactor
import SpindleSimulation
import Synchronization
import Testing

@Suite("forwarder")
struct ForwarderTests {
    /// A client, a forwarder on one reactor, and a server behind it on another whose protocols the test makes.
    private final class World {
        let network: SimulatedNetwork
        let scheduler: SimulatedScheduler
        let front: SocketAddress
        let log = Lines()
        let back = SocketAddress.loopback(port: 2)
        private(set) var servers: [Server] = []

        init(
            seed: UInt64 = 0,
            faults: FaultPlan = .none,
            listens: Bool = true,
            _ script: @escaping (Server) -> Void = { _ in }
        ) throws {
            network = SimulatedNetwork(seed: seed)
            network.faults = faults
            scheduler = SimulatedScheduler(reactorCount: 2, network: network, seed: seed, log: log)
            front = .loopback(port: 1)
            try scheduler.listen(at: front, on: [0]) { [back] _ in
                ClosureFactory { Forwarder($0, to: .address(back)) }
            }
            guard listens else { return }
            try scheduler.listen(at: back, on: [1]) { [unowned self] _ in
                ClosureFactory { [unowned self] transport in
                    let server = Server(transport)
                    script(server)
                    servers.append(server)
                    return server
                }
            }
        }

        deinit {
            scheduler.endAllConnections()
            scheduler.stopListening()
            scheduler.run()
        }

        func connect() -> SimulatedPeer {
            let client = network.connect(to: front)
            settle()
            return client
        }

        func settle() { scheduler.run(noLaterThan: network.now) }

        func server() throws -> Server { try #require(servers.first) }

        var forwarderHolds: UInt64 { scheduler.reactors[0].handle.counters[.bufferedBytes] }
        var connectionCount: Int { scheduler.reactors[0].connectionCount }
    }

    private final class Lines: LogSink {
        private let lines = Mutex<[String]>([])
        func write(_ record: LogRecord) { lines.withLock { $0.append(record.message) } }
        var all: [String] { lines.withLock { $0 } }
    }

    private final class Server: StreamProtocol {
        let transport: any StreamTransport
        var received: [UInt8] = []
        var reason: DisconnectReason?
        var answers = false
        var hasReadEnd = false
        var closesAtEnd = true
        init(_ transport: any StreamTransport) { self.transport = transport }
        func dataReceived(_ bytes: Span<UInt8>) {
            for index in bytes.indices { received.append(bytes[index]) }
            if answers { transport.write(bytes) }
        }
        func readConnectionLost() {
            hasReadEnd = true
            if closesAtEnd { transport.loseConnection() }
        }
        func connectionLost(_ reason: DisconnectReason) { self.reason = reason }
    }

    private func pattern(_ count: Int) -> [UInt8] { (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) } }

    @Test("what either side sends comes out at the other, whatever the network does to it", arguments: 0..<40)
    func everyByte(seed: UInt64) throws {
        var faults = FaultPlan(seed: seed)
        // Connections that a listener sheds are another story.
        faults.acceptErrors = 0
        let world = try World(seed: seed, faults: faults) { $0.answers = true }
        let client = world.network.connect(to: world.front)
        let sent = pattern(200_000)
        client.send(sent)
        client.shutdownWrites()
        var received: [UInt8] = []
        let outcome = world.scheduler.run {
            received += client.receive()
            return client.isAtEnd
        }
        received += client.receive()
        // Bare: 200,000 numbers are no message.
        let isWhole = received == sent
        #expect(isWhole, "\(received.count) bytes came back; \(outcome), \(client.error.map { "\($0)" } ?? "no error")")
        #expect(try world.server().received.count == sent.count)
    }

    @Test("a client that ends its half still gets what the server says, and the other way round")
    func halfClose() throws {
        let world = try World { $0.closesAtEnd = false }
        let client = world.connect()
        client.send("question")
        client.shutdownWrites()
        world.settle()
        let server = try world.server()
        #expect(server.hasReadEnd && server.received == Array("question".utf8))
        world.scheduler.perform(on: 1) { _ in server.transport.write("late answer") }
        world.settle()
        #expect(client.receive() == Array("late answer".utf8) && !client.isAtEnd)
        world.scheduler.perform(on: 1) { _ in server.transport.loseConnection() }
        world.settle()
        #expect(client.isAtEnd && world.connectionCount == 0)
    }

    @Test("a side that does not read keeps the other from being read, and the forwarder's memory bounded")
    func backPressure() throws {
        let world = try World()
        let client = world.connect()
        let server = try world.server()
        world.scheduler.perform(on: 1) { _ in server.transport.pauseProducing() }
        let sent = pattern(4_000_000)
        client.send(sent)
        world.settle()
        let limits = ReactorConfiguration()
        #expect(world.forwarderHolds >= UInt64(limits.writeHighWatermarkBytes))
        #expect(world.forwarderHolds <= UInt64(limits.writeHighWatermarkBytes + limits.readBudgetBytes))
        // The other way is open.
        world.scheduler.perform(on: 1) { _ in server.transport.write("still here") }
        world.settle()
        #expect(client.receive() == Array("still here".utf8))
        world.scheduler.perform(on: 1) { _ in server.transport.resumeProducing() }
        world.scheduler.run { server.received.count == sent.count }
        let isWhole = server.received == sent
        #expect(isWhole)
    }

    @Test("both sides may send without reading for a while: neither direction waits for the other")
    func bothWays() throws {
        let world = try World()
        let client = world.connect()
        let server = try world.server()
        // The test's own server would stop reading while the client does not.
        world.scheduler.perform(on: 1) { _ in server.transport.pausesReadingAtHighWatermark = false }
        let sent = pattern(1_500_000)
        client.setWindow(byteCount: 0)
        client.send(sent)
        world.scheduler.perform(on: 1) { _ in server.transport.write(sent) }
        world.scheduler.run { server.received.count == sent.count }
        let isWhole = server.received == sent
        #expect(isWhole, "though the client has read nothing")
        client.setWindow(byteCount: .max)
        var received: [UInt8] = []
        world.scheduler.run {
            received += client.receive()
            return received.count == sent.count
        }
        let isBackWhole = received == sent
        #expect(isBackWhole)
    }

    @Test("a reset of either side resets the other")
    func resets() throws {
        let world = try World()
        let client = world.connect()
        client.reset()
        world.settle()
        #expect(try world.server().reason.map { "\($0)" } == "lost: \(Errno.connectionReset)")
        let second = world.connect()
        let server = try #require(world.servers.last)
        world.scheduler.perform(on: 1) { _ in server.transport.abortConnection() }
        world.settle()
        #expect(second.error == .connectionReset && world.connectionCount == 0)
    }

    @Test("when nobody listens behind it, the client is reset and the log says why, once a second")
    func nobody() throws {
        let world = try World(listens: false)
        let clients = (0..<3).map { _ in world.connect() }
        for client in clients { #expect(client.error == .connectionReset) }
        #expect(world.connectionCount == 0)
        #expect(world.log.all.count == 1)
        #expect(world.log.all[0].contains("cannot connect to \(world.back): lost: \(Errno.connectionRefused)"))
        world.network.advance(by: .seconds(2))
        _ = world.connect()
        #expect(world.log.all.count == 2 && world.log.all[1].hasSuffix("(and 2 like it before)"))
    }

    @Test("a client that goes while the forwarder connects takes the attempt with it")
    func earlyEnd() throws {
        let world = try World()
        world.network.faults.silentAddresses = [world.back]
        let client = world.connect()
        client.reset()
        world.settle()
        // Nobody reads it meanwhile: an error is noticed all the same.
        #expect(world.connectionCount == 0)
    }

    @Test("a drain while the forwarder connects closes the client in order, without a warning")
    func drainWhileConnecting() throws {
        let world = try World()
        world.network.faults.silentAddresses = [world.back]
        let client = world.connect()
        world.scheduler.drain()
        world.settle()
        #expect(client.isAtEnd && client.error == nil)
        #expect(world.log.all.isEmpty)
    }
}
