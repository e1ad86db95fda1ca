// SPDX-License-Identifier: Apache-2.0

import SpindleCore
import SpindleProtocols
import SpindleReactor
import SpindleSimulation
import Testing

@Suite("clients that connect again")
struct ReconnectingTests {
    @Test("waits grow by the factor up to the maximum, shortened by the jitter alone, and begin anew after a success")
    func backoff() {
        var backoff = Backoff()
        backoff.jitter = 0
        var generator = SeededGenerator(seed: 1)
        func waits(_ count: Int) -> [Duration?] { (0..<count).map { _ in backoff.failed(using: &generator) } }
        #expect(waits(4) == [.milliseconds(100), .milliseconds(200), .milliseconds(400), .milliseconds(800)])
        #expect(waits(2000).last == .seconds(30))
        backoff.succeeded()
        #expect(waits(1) == [.milliseconds(100)])
        backoff.jitter = 0.5
        backoff.succeeded()
        var distinct: Set<Duration> = []
        for _ in 0..<100 {
            backoff.succeeded()
            guard let wait = backoff.failed(using: &generator) else { continue }
            distinct.insert(wait)
            #expect(wait >= .milliseconds(50) && wait <= .milliseconds(100))
        }
        #expect(distinct.count > 50)
        backoff.maximumFailures = 2
        backoff.succeeded()
        #expect(waits(3).map { $0 == nil } == [false, false, true])
        backoff.maximumFailures = nil
        backoff.maximum = .seconds(Int64.max)
        backoff.factor = 1e6
        #expect(waits(2000).allSatisfy { ($0 ?? .zero) <= .seconds(366 * 24 * 3600) })
    }

    private final class Session: StreamProtocol {
        let transport: any StreamTransport
        let note: (String) -> Void
        init(_ transport: any StreamTransport, _ note: @escaping (String) -> Void) {
            self.transport = transport
            self.note = note
        }
        func connectionMade() { note("made") }
        func dataReceived(_ bytes: Span<UInt8>) {}
        func connectionLost(_ reason: DisconnectReason) { note("protocol lost") }
    }

    /// What happened. Apart from the world: what ends with that still tells it.
    private final class Story {
        var events: [String] = []
        var servers: [Session] = []
    }

    private final class World {
        let story = Story()
        let network = SimulatedNetwork()
        let scheduler: SimulatedScheduler
        let address = SocketAddress.loopback(port: 1)
        let client: ReconnectingClient
        var servers: [Session] { story.servers }

        init(_ change: (inout Backoff) -> Void = { _ in }) {
            scheduler = SimulatedScheduler(reactorCount: 2, network: network)
            var backoff = Backoff()
            backoff.jitter = 0
            change(&backoff)
            client = scheduler.perform(on: 0) { [story, address] _ in
                ReconnectingClient(to: .address(address), backoff: backoff) { transport in
                    Session(transport) { story.events.append($0) }
                }
            }
            client.stateChanged = { [story] state, error in
                story.events.append("\(state)" + (error.map { " after \($0.reason)" } ?? ""))
            }
        }

        deinit {
            scheduler.perform(on: 0) { _ in client.stop() }
            client.stateChanged = nil
            scheduler.endAllConnections()
            scheduler.stopListening()
            scheduler.run()
        }

        func listen() throws {
            try scheduler.listen(at: address, on: [1]) { [story] _ in
                ClosureFactory { transport in
                    let server = Session(transport) { _ in }
                    story.servers.append(server)
                    return server
                }
            }
        }

        func start() {
            scheduler.perform(on: 0) { _ in client.start() }
            settle()
        }

        func settle(_ duration: Duration = .zero) {
            let end = network.now.advanced(by: duration)
            scheduler.run(noLaterThan: end)
            network.advance(to: end)
            scheduler.run(noLaterThan: end)
        }

        func takeEvents() -> [String] {
            defer { story.events = [] }
            return story.events
        }
    }

    @Test("C3: what ends is told to the protocol first, and is made again after the wait")
    func reconnects() throws {
        let world = World()
        try world.listen()
        world.start()
        #expect(world.takeEvents() == ["connecting", "made", "connected"])
        world.settle(.seconds(10))
        world.scheduler.perform(on: 1) { _ in world.servers[0].transport.loseConnection() }
        world.settle()
        #expect(world.takeEvents() == ["protocol lost", "waiting(0.1 seconds) after done"])
        world.settle(.milliseconds(101))
        #expect(world.takeEvents() == ["connecting", "made", "connected"])
        #expect(world.servers.count == 2)
    }

    @Test("waits grow while nobody answers, and while connections don't last")
    func grows() throws {
        let world = World()
        world.start()
        let refused = "lost: \(Errno.connectionRefused)"
        #expect(world.takeEvents() == ["connecting", "waiting(0.1 seconds) after \(refused)"])
        world.settle(.milliseconds(101))
        #expect(world.takeEvents() == ["connecting", "waiting(0.2 seconds) after \(refused)"])
        try world.listen()
        world.settle(.milliseconds(201))
        #expect(world.takeEvents() == ["connecting", "made", "connected"])
        world.scheduler.perform(on: 1) { _ in world.servers[0].transport.abortConnection() }
        world.settle()
        #expect(world.takeEvents().last == "waiting(0.4 seconds) after lost: \(Errno.connectionReset)")
        world.settle(.milliseconds(401))
        world.settle(.seconds(6))
        world.scheduler.perform(on: 1) { _ in world.servers[1].transport.abortConnection() }
        world.settle()
        #expect(world.takeEvents().last == "waiting(0.1 seconds) after lost: \(Errno.connectionReset)", "it lasted")
    }

    @Test("stop ends whatever it does, and nothing comes after it; start begins anew", arguments: [0, 50, 150])
    func stop(milliseconds: Int64) throws {
        let world = World()
        if milliseconds == 150 { try world.listen() }
        world.start()
        world.settle(.milliseconds(milliseconds))
        _ = world.takeEvents()
        world.scheduler.perform(on: 0) { _ in world.client.stop() }
        world.settle(.seconds(60))
        #expect(world.takeEvents().filter { $0 != "protocol lost" } == ["stopped"])
        #expect(world.client.current == nil && world.scheduler.reactors[0].connectionCount == 0)
        if milliseconds != 150 { try world.listen() }
        world.start()
        #expect(world.takeEvents() == ["connecting", "made", "connected"])
    }

    @Test("after as many failures as it may have it gives up, and says why; a stop of the engine ends it, too")
    func givesUp() throws {
        let world = World { $0.maximumFailures = 1 }
        world.start()
        world.settle(.seconds(1))
        #expect(world.takeEvents().last == "stopped after lost: \(Errno.connectionRefused)")
        try world.listen()
        world.start()
        _ = world.takeEvents()
        world.scheduler.endAllConnections()
        world.settle(.seconds(60))
        #expect(world.takeEvents() == ["protocol lost", "stopped after the engine stopped"])
    }
}
