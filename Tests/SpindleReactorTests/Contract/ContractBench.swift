// SPDX-License-Identifier: Apache-2.0

import Glibc
import SpindleCore
import SpindleSimulation
import SpindleSystem
import Synchronization
import Testing

@testable import SpindleReactor

/// What the contract is held against: both drivers, each with 1, 2 and 4 reactors in one mailroom.
struct DriverKind: CaseIterable, Equatable, Sendable, CustomTestStringConvertible {
    let isEpoll: Bool
    /// The reactor under test is the last; the others take their turns beside it and send it mail.
    let reactorCount: Int

    static let epoll = DriverKind(isEpoll: true, reactorCount: 1)
    static let simulated = DriverKind(isEpoll: false, reactorCount: 1)
    static let allCases = [true, false].flatMap { isEpoll in
        reactorCounts.map { DriverKind(isEpoll: isEpoll, reactorCount: $0) }
    }

    /// SPINDLE_CONTRACT=1 is for slow sanitizers that look at memory and not at threads.
    private static let reactorCounts = unsafe getenv("SPINDLE_CONTRACT") == nil ? [1, 2, 4] : [1]

    var testDescription: String { "\(isEpoll ? "epoll" : "simulated"), reactor \(reactorCount) of \(reactorCount)" }
}

/// Keeps the log's records.
final class RecordingLog: LogSink {
    private let kept = Mutex<[LogRecord]>([])
    func write(_ record: LogRecord) { kept.withLock { $0.append(record) } }
    var records: [LogRecord] { kept.withLock { $0 } }
    func count(containing text: String) -> Int { records.count { $0.message.contains(text) } }
}

/// One reactor on either driver, driven turn by turn on the test's own thread, with the same operations for both.
///
/// Nothing in it waits for time: it turns until a condition holds, at most `maximumTurns` times. On epoll a turn
/// may sleep for up to a millisecond, because loopback is not always synchronous; on the simulated driver time
/// moves by `advance` alone.
final class ContractBench {
    struct Options {
        var configuration = ReactorConfiguration()
        /// Small socket buffers on both sides, so that a few dozen KiB block.
        var hasSmallBuffers = false
        var seed: UInt64 = 0
    }

    static let maximumTurns = 3000

    let kind: DriverKind
    let options: Options
    let reactor: Reactor
    let log = RecordingLog()
    let depth = CallbackDepth()
    /// With the simulated driver.
    let network: SimulatedNetwork?
    private let provider: any DriverProvider
    let neighbours: Neighbours
    private(set) var protocols: [TestProtocol] = []
    private var clients: [ContractClient] = []
    private var ports: [UInt16] = []
    private var nextListenerID = 0

    init(_ kind: DriverKind, _ options: Options) throws {
        self.kind = kind
        self.options = options
        if kind.isEpoll {
            network = nil
            provider = EpollDrivers()
        } else {
            var sizes = SimulatedNetwork.Configuration()
            if options.hasSmallBuffers {
                sizes.sendBufferBytes = 4 << 10
                sizes.receiveBufferBytes = 4 << 10
            }
            let network = SimulatedNetwork(seed: options.seed, configuration: sizes)
            self.network = network
            provider = SimulatedDrivers(network: network)
        }
        let mailroom = Mailroom(reactorCount: kind.reactorCount, configuration: options.configuration)
        let (log, provider) = (log, provider)
        let reactors = try (0..<kind.reactorCount).map { index in
            let driver = try provider.makeDriver(reactor: index, configuration: options.configuration)
            return Reactor(
                index: index,
                configuration: options.configuration,
                driver: driver,
                mailroom: mailroom,
                log: log
            )
        }
        reactor = reactors[reactors.count - 1]
        neighbours = Neighbours(Array(reactors.dropLast()), mailroom, of: reactor.index)
    }

    // MARK: Listening and connecting

    /// Listens on a loopback port; every connection gets a `TestProtocol` with the script.
    @discardableResult
    func listen(_ script: @escaping TestProtocol.Script = { _, _ in }) throws -> SocketAddress {
        try listen(factory: ClosureFactory { [unowned self] in try makeProtocol($0, script) })
    }

    /// A protocol of the bench; `.build` is the script's first callback.
    func makeProtocol(
        _ transport: any StreamTransport,
        _ script: @escaping TestProtocol.Script = { _, _ in }
    ) throws -> TestProtocol {
        let proto = TestProtocol(transport, depth: depth, script: script)
        try depth.enter { try script(proto, .build) }
        protocols.append(proto)
        return proto
    }

    @discardableResult
    func listen(
        factory: any StreamProtocolFactory,
        at address: SocketAddress = .loopback(port: 0),
        backlog: Int = 1024
    ) throws -> SocketAddress {
        let listening = try provider.bind(address, ListenOptions())
        let (socket, bound) = (listening.socket, listening.address)
        if options.hasSmallBuffers, kind.isEpoll {
            // Accepted sockets inherit both.
            try StreamSocket(descriptor: socket.rawValue).set(.sendBuffer, 4096)
            try StreamSocket(descriptor: socket.rawValue).set(.receiveBuffer, 4096)
        }
        _ = try provider.listen(socket, backlog: backlog)
        try reactor.listen(
            on: ListeningSocket(socket, address: bound, keeper: listening.keeper),
            use: reactor.use(of: factory),
            listenerID: nextListenerID
        )
        nextListenerID += 1
        ports.append(bound.port)
        return bound
    }

    func connect(to address: SocketAddress, from local: SocketAddress? = nil) throws -> ContractClient {
        let client: ContractClient
        if let network {
            client = ContractClient(peer: network.connect(to: address, from: local))
        } else {
            let socket = try StreamSocket.open(for: address)
            if options.hasSmallBuffers { try socket.set(.receiveBuffer, 4096) }
            try socket.set(.noDelay, 1)
            try socket.connect(to: address)
            client = ContractClient(socket: socket)
        }
        client.serverPort = address.port
        clients.append(client)
        return client
    }

    /// A listener with the script, one client, and the protocol that it got.
    func pair(
        _ script: @escaping TestProtocol.Script = { _, _ in }
    ) throws -> (client: ContractClient, proto: TestProtocol) {
        let address = try listen(script)
        let client = try connect(to: address)
        turn("a connection stands") { !self.protocols.isEmpty }
        return (client, try #require(protocols.last))
    }

    // MARK: Turning

    /// Turns until `condition` holds; a failure when it does not.
    func turn(
        _ what: String,
        sourceLocation: SourceLocation = #_sourceLocation,
        until condition: () -> Bool
    ) {
        for _ in 0..<ContractBench.maximumTurns {
            if condition() { return }
            turnOnce(maximumWait: kind.isEpoll ? 1_000_000 : 0)
        }
        if !condition() {
            Issue.record("\(kind.testDescription): never came true: \(what)", sourceLocation: sourceLocation)
        }
    }

    /// A few turns more, for what must not happen.
    func turn(times: Int = 12) {
        for _ in 0..<times { turnOnce(maximumWait: 0) }
    }

    private func turnOnce(maximumWait: Int64) {
        for client in clients { client.pump() }
        neighbours.turn()
        reactor.turn(maximumWait: maximumWait)
        for client in clients { client.pump() }
    }

    /// One turn of the reactor alone: clients neither send nor receive.
    func turnReactor() { reactor.turn(maximumWait: 0) }

    /// Lets simulated time pass.
    func advance(by duration: Duration) { network!.advance(by: duration) }

    /// Sockets of this port are the bench's: none may be left.
    func note(port: UInt16) { ports.append(port) }

    func counter(_ counter: Counter) -> UInt64 { reactor.counters[counter] }

    /// What the reactor knows of the protocol's connection.
    func connection(of proto: TestProtocol) -> Connection { proto.transport as! Connection }

    // MARK: Nothing is left

    func finish() {
        for client in clients { client.close() }
        reactor.stopListening()
        for _ in 0..<200 where reactor.table.count > 0 { turnOnce(maximumWait: kind.isEpoll ? 100_000 : 0) }
        reactor.endAllConnections()
        for _ in 0..<3 { turnOnce(maximumWait: 0) }
        neighbours.finish()
        turnReactor()
        neighbours.expectAllArrived()
        expectNothingLeft()
    }

    private func expectNothingLeft() {
        reactor.checkInvariants()
        #expect(reactor.table.count == 0, "connections left")
        #expect(reactor.wheel.count == 0, "timers left")
        #expect(
            reactor.jobs.isEmpty && reactor.readyList.isEmpty && reactor.flushList.isEmpty,
            "work left"
        )
        #expect(reactor.closeQueue.isEmpty && reactor.readyAcceptors.isEmpty, "work left")
        #expect(!reactor.hasDatagramWork && reactor.ports.allSatisfy { $0 == nil }, "UDP sockets left")
        #expect(counter(.openConnections) == 0 && counter(.liveProtocols) == 0 && counter(.bufferedBytes) == 0)
        #expect(depth.deepest <= 1, "a callback was entered while another ran")
        for proto in protocols {
            #expect(proto.count(.made) <= 1 && proto.count(.lost) == proto.count(.made), "\(proto.callbacks)")
            #expect(!proto.isLost || proto.callbacks.last == .lost, "came after the end: \(proto.callbacks)")
        }
        if let network {
            #expect(network.openDescriptorCount == 0, "descriptors left")
            #expect(network.socketCount == 0, "sockets left")
        } else {
            #expect(openDescriptors().isEmpty, "descriptors left")
        }
    }

    /// The process's sockets that belong to this bench. Other suites run in the same process at the same time, so
    /// counting /proc/self/fd would count theirs; the listeners' ports tell ours.
    private func openDescriptors() -> [CInt] {
        (0..<4096).filter { descriptor in
            let socket = StreamSocket(descriptor: descriptor)
            guard let local = try? socket.localAddress() else { return false }
            if ports.contains(local.port) { return true }
            guard let peer = try? socket.peerAddress() else { return false }
            return ports.contains(peer.port)
        }
    }
}

/// Runs `body` on a bench of its own, and checks afterwards that nothing is left.
func withBench(
    _ kind: DriverKind,
    _ configure: (inout ContractBench.Options) -> Void = { _ in },
    _ body: (ContractBench) throws -> Void
) throws {
    var options = ContractBench.Options()
    configure(&options)
    let bench = try ContractBench(kind, options)
    try bench.reactor.perform {
        defer { bench.finish() }
        try body(bench)
    }
}

/// The behaviour contract of one reactor, on every driver. Serialized: each test counts what it leaves behind.
@Suite("Contract", .serialized) enum Contract {}
