// SPDX-License-Identifier: Apache-2.0

import Spindle
import SpindleReactor
import SpindleSimulation
import SpindleTopology
import Synchronization
import Testing

/// Engines on a simulated network: reactors on threads of their own, no kernel below them.
extension EngineTests {
    /// A simulated network and an engine on it.
    struct Simulation {
        let network = SimulatedNetwork()
        let engine: Engine

        init(
            reactors: Int,
            log: any LogSink = SilentLog(),
            machine: MachineTopology? = nil,
            broken: Int? = nil,
            allToFirst: Bool = false,
            _ change: (inout EngineConfiguration) -> Void = { _ in }
        ) throws {
            var configuration = EngineConfiguration()
            configuration.placement.cores = .count(reactors)
            configuration.placement.oversubscribe = true
            configuration.placement.pin = .never
            change(&configuration)
            let inner = SimulatedDrivers(network: network)
            let drivers = WrappedDrivers(inner: inner, broken: broken, allToFirst: allToFirst)
            engine = try Engine(configuration, driver: drivers, log: log, machine: machine)
        }

        /// Lets the reactors go on until `condition` holds. Their threads never sleep, so this ends soon or never.
        /// A minute, for machines that are busy with other things.
        func wait(
            for what: String,
            sourceLocation: SourceLocation = #_sourceLocation,
            until condition: () -> Bool
        ) async {
            let end = ContinuousClock.now + .seconds(60)
            while ContinuousClock.now < end {
                if condition() { return }
                await Task.yield()
            }
            Issue.record("never came true: \(what)", sourceLocation: sourceLocation)
        }

        /// What a peer gets until the server's end.
        func everything(from peer: SimulatedPeer) async -> [UInt8] {
            var received: [UInt8] = []
            await wait(for: "the end") {
                received += peer.receive()
                return peer.isAtEnd || peer.error != nil
            }
            return received
        }

        /// Stops, and holds the network against what is left: nothing.
        func finish(sourceLocation: SourceLocation = #_sourceLocation) async {
            await engine.stop(deadline: .zero)
            network.advance(by: .seconds(60))
            #expect(network.openDescriptorCount == 0, "descriptors left", sourceLocation: sourceLocation)
        }
    }

    @Test("Engine(driver:): an engine serves on a driver that was brought along", arguments: reactorCounts)
    func broughtDriver(reactors: Int) async throws {
        let simulation = try Simulation(reactors: reactors)
        let address = try simulation.engine.listen(on: .loopback(port: 0)) { Echo($0) }.address
        // N6: what connects between listen and start waits in the queue.
        let early = simulation.network.connect(to: address)
        early.send("early")
        try await simulation.engine.start()
        let peers = (0..<20).map { _ in simulation.network.connect(to: address) }
        for (number, peer) in peers.enumerated() { peer.send("hello \(number)") }
        await simulation.wait(for: "all echoed") {
            early.unreadByteCount == 5
                && peers.enumerated().allSatisfy { $1.unreadByteCount == "hello \($0)".utf8.count }
        }
        for (number, peer) in peers.enumerated() { #expect(peer.receive() == Array("hello \(number)".utf8)) }
        for peer in peers { peer.shutdownWrites() }
        await simulation.wait(for: "all closed") { peers.allSatisfy(\.isAtEnd) }
        await simulation.finish()
    }

    @Test(
        "C49: a drain's deadline is the driver's time: what has not finished by then is reset",
        arguments: reactorCounts
    )
    func simulatedDrain(reactors: Int) async throws {
        let simulation = try Simulation(reactors: reactors) {
            // No other end than the drain's.
            $0.limits.closeTimeout = .seconds(86_400)
            $0.limits.writeProgressTimeout = nil
        }
        let reasons = Recorder<DisconnectReason>()
        let address = try simulation.engine.listen(on: .loopback(port: 0)) { Stubborn($0, reasons) }.address
        try await simulation.engine.start()
        let peers = (0..<8).map { _ in simulation.network.connect(to: address) }
        await simulation.wait(for: "they stand") { peers.allSatisfy { $0.unreadByteCount > 0 } }
        let start = simulation.network.now
        async let stopping: Void = simulation.engine.stop(deadline: .seconds(3600))
        // The drain begins some time after this: its hour is over no sooner than an hour from here.
        var first: MonotonicInstant?
        await simulation.wait(for: "the deadline has come") {
            simulation.network.advance(by: .seconds(1))
            let count = reasons.values.count
            if count > 0, first == nil { first = simulation.network.now }
            return count == 8
        }
        #expect(first.map { start.duration(to: $0) >= .seconds(3600) } == true)
        await stopping
        #expect(reasons.values.allSatisfy { "\($0)" == "\(DisconnectReason.engineStopped)" })
        simulation.network.advance(by: .seconds(60))
        #expect(simulation.network.openDescriptorCount == 0)
    }

    /// Writes more than a peer's window takes, so that a drain has to wait for it.
    private final class Stubborn: StreamProtocol {
        let transport: any StreamTransport
        let reasons: Recorder<DisconnectReason>
        init(_ transport: any StreamTransport, _ reasons: Recorder<DisconnectReason>) {
            self.transport = transport
            self.reasons = reasons
        }
        func connectionMade() { transport.write([UInt8](repeating: 1, count: 200 << 10)) }
        func dataReceived(_ bytes: Span<UInt8>) {}
        func connectionLost(_ reason: DisconnectReason) { reasons.add(reason) }
    }

    @Test(
        "a listener that one reactor cannot watch is said before start returns, and closed there; the others serve",
        arguments: [AcceptMode.reuseport, .balanced]
    )
    func unwatchedListener(mode: AcceptMode) async throws {
        let log = CapturedLog()
        let simulation = try Simulation(reactors: 2, log: log) {
            $0.acceptMode = mode
            $0.balanceThreshold = 1
        }
        let address = try simulation.engine.listen(on: .loopback(port: 0)) { Echo($0) }.address
        simulation.network.failNextWatches(with: [.noMemory])
        try await simulation.engine.start()
        #expect(log.messages.contains { $0.contains("cannot watch the listener") })
        let peers = (0..<10).map { _ in simulation.network.connect(to: address) }
        for peer in peers { peer.send("x") }
        await simulation.wait(for: "all are served by the other") { peers.allSatisfy { $0.unreadByteCount == 1 } }
        await simulation.finish()
    }

    @Test(
        "a reactor whose driver cannot be made fails the start, with its number and the reason",
        arguments: [1, 2, 4]
    )
    func driverFails(reactors: Int) async throws {
        let simulation = try Simulation(reactors: reactors, broken: reactors - 1)
        let engine = simulation.engine
        try engine.listen(on: .loopback(port: 0)) { Echo($0) }
        let error = try await #require(throws: StartError.self) { try await engine.start() }
        guard case .reactor(reactors - 1, .tooManyFiles) = error else { throw error }
        #expect(error.description.hasPrefix("reactor \(reactors - 1) cannot be started: EMFILE"))
        #expect(engine.phase == .idle)
        #expect(simulation.network.openDescriptorCount == 0, "its listeners are closed")
    }

    /// Simulated drivers with something wrong or one-sided about them.
    private struct WrappedDrivers: DriverProvider {
        let inner: SimulatedDrivers
        /// The reactor that gets no driver.
        let broken: Int?
        /// Every connection comes to the first reactor's socket.
        let allToFirst: Bool

        func makeDriver(reactor index: Int, configuration: ReactorConfiguration) throws(Errno) -> any Driver {
            if index == broken { throw .tooManyFiles }
            return try inner.makeDriver(reactor: index, configuration: configuration)
        }
        func bind(_ address: SocketAddress, _ options: ListenOptions) throws(Errno) -> BoundSocket {
            try inner.bind(address, options)
        }
        func duplicate(_ socket: SocketHandle) throws(Errno) -> SocketHandle { try inner.duplicate(socket) }
        func listen(_ socket: SocketHandle, backlog: Int) throws(Errno) -> Int {
            let granted = try inner.listen(socket, backlog: backlog)
            if allToFirst { try inner.steer(socket, by: .cpu(socketOfCPU: [0])) }
            return granted
        }
        func steer(_ socket: SocketHandle, by program: SteeringProgram) throws(Errno) {
            try inner.steer(socket, by: program)
        }
        func close(_ socket: SocketHandle) { inner.close(socket) }
    }

    // MARK: Who accepts

    @Test("reuseport-cpu: a connection goes to the reactor nearest to the CPU that took its packets")
    func steeringByCPU() async throws {
        // Two nodes of four CPUs; reactors on two of them.
        let machine = MachineTopology(
            cpus: (0..<8).map { LogicalCPU(id: $0, node: $0 / 4) },
            nodes: (0..<2).map { NUMANode(id: $0, cpus: CPUSet($0 * 4..<$0 * 4 + 4)) }
        )
        let simulation = try Simulation(reactors: 2, machine: machine) { $0.acceptMode = .reuseportCPU }
        let served = Recorder<[Int]>()
        let address = try simulation.engine.listen(on: .loopback(port: 0)) { transport in
            served.add([Int(transport.peerAddress.port), Reactor.current?.index ?? -1])
            return Echo(transport)
        }.address
        try await simulation.engine.start()
        let nearest = simulation.engine.placement.nearestReactorByCPU
        #expect(Set(nearest) == [0, 1])
        for cpu in 0..<8 {
            _ = simulation.network.connect(to: address, from: .loopback(port: UInt16(20_000 + cpu)), cpu: cpu)
        }
        await simulation.wait(for: "all are accepted") { served.values.count == 8 }
        #expect(Set(served.values) == Set((0..<8).map { [20_000 + $0, nearest[$0]] }))
        await simulation.finish()
    }

    @Test("balanced: what is handed over is counted, arrives, and never exceeds the other's limit", arguments: [2, 4])
    func handedOver(reactors: Int) async throws {
        let limit = 10
        let simulation = try Simulation(reactors: reactors, allToFirst: true) {
            $0.acceptMode = .balanced
            $0.balanceThreshold = 2
            $0.limits.maximumConnections = limit
        }
        let address = try simulation.engine.listen(on: .loopback(port: 0)) { Echo($0) }.address
        try await simulation.engine.start()
        // All come to the first reactor, more than it may have; a few more than all may have together.
        var peers: [SimulatedPeer] = []
        for _ in 0..<reactors * limit + 3 {
            let peer = simulation.network.connect(to: address)
            peer.send("x")
            peers.append(peer)
        }
        await simulation.wait(for: "each is served or turned away") {
            peers.allSatisfy { $0.unreadByteCount == 1 || $0.isAtEnd || $0.error != nil }
        }
        let snapshot = simulation.engine.snapshot()
        let served = peers.count { $0.unreadByteCount == 1 }
        #expect(served == reactors * limit, "none is turned away while another reactor has room")
        #expect(snapshot[.handedOver] == UInt64(served - limit))
        #expect(snapshot.reactors.allSatisfy { $0[.openConnections] == limit })
        #expect(snapshot[.openConnections] == UInt64(served))
        #expect(snapshot[.refused] == UInt64(peers.count - served))
        await simulation.finish()
    }

    @Test("balanced: the load that others see of a reactor never lacks a connection that it was given")
    func loadNeverLacks() async throws {
        let count = 2_000
        let simulation = try Simulation(reactors: 2, allToFirst: true) {
            $0.acceptMode = .balanced
            $0.balanceThreshold = 1
        }
        let address = try simulation.engine.listen(on: .loopback(port: 0)) { Echo($0) }.address
        try await simulation.engine.start()
        let handles = simulation.engine.reactors
        let isOver = Atomic(false)
        let lacking = Atomic(0)
        let watcher = Task.detached {
            while !isOver.load(ordering: .acquiring) {
                // None is closed meanwhile: what was given before has to be among what is there.
                let given = Int(handles[0].counters[.handedOver])
                let load = handles[1].connectionLoad
                if load < given { lacking.add(1, ordering: .relaxed) }
                await Task.yield()
            }
        }
        for _ in 0..<count { _ = simulation.network.connect(to: address) }
        await simulation.wait(for: "all are there") { simulation.engine.snapshot()[.openConnections] == count }
        isOver.store(true, ordering: .releasing)
        await watcher.value
        #expect(lacking.load(ordering: .relaxed) == 0)
        #expect(handles.map(\.connectionLoad) == [count / 2, count / 2])
        await simulation.finish()
    }

    @Test("balanced: a reactor that stalls gets its share and no more, however long it stalls")
    func stalledReceiver() async throws {
        let simulation = try Simulation(reactors: 2, allToFirst: true) {
            $0.acceptMode = .balanced
            $0.balanceThreshold = 2
        }
        let address = try simulation.engine.listen(on: .loopback(port: 0)) { Echo($0) }.address
        try await simulation.engine.start()
        let isStalled = Atomic(true)
        simulation.engine.reactors[1].submit { while isStalled.load(ordering: .acquiring) {} }
        var peers: [SimulatedPeer] = []
        for count in 1...30 {
            // One by one, each in a turn of its own.
            let peer = simulation.network.connect(to: address)
            peer.send("x")
            peers.append(peer)
            await simulation.wait(for: "it is accepted") { simulation.engine.snapshot()[.accepted] == count }
        }
        #expect((14...16).contains(simulation.engine.snapshot()[.handedOver]))
        isStalled.store(false, ordering: .releasing)
        await simulation.wait(for: "all are served") { peers.allSatisfy { $0.unreadByteCount == 1 } }
        await simulation.finish()
    }

    @Test("balanced: connections on their way while the listener closes are served or closed, none is forgotten")
    func handOverWhileClosing() async throws {
        for _ in 0..<20 {
            let simulation = try Simulation(reactors: 4) {
                $0.acceptMode = .balanced
                $0.balanceThreshold = 1
            }
            let listener = try simulation.engine.listen(on: .loopback(port: 0)) { Echo($0) }
            try await simulation.engine.start()
            let peers = (0..<100).map { _ in simulation.network.connect(to: listener.address) }
            for peer in peers { peer.send("x") }
            await listener.stopListening()
            await simulation.wait(for: "each has its answer or its end") {
                peers.allSatisfy { $0.unreadByteCount == 1 || $0.isAtEnd || $0.error != nil }
            }
            await simulation.finish()
        }
    }
}
