// SPDX-License-Identifier: Apache-2.0

import SpindleCore
import SpindleSimulation
import SpindleSystem
import Testing

@testable import SpindleReactor

/// The other end of datagrams under test: a real socket, or a simulated one.
final class DatagramClient {
    private enum End {
        case socket(DatagramSocket)
        case peer(SimulatedDatagramPeer)
    }

    private let end: End
    private var isOpen = true
    let address: SocketAddress
    private var received: [(bytes: [UInt8], from: SocketAddress)] = []

    init(_ socket: DatagramSocket) throws {
        end = .socket(socket)
        address = try socket.localAddress()
    }

    init(_ peer: SimulatedDatagramPeer) throws {
        end = .peer(peer)
        address = try #require(peer.localAddress)
    }

    deinit { close() }

    func close() {
        guard isOpen else { return }
        isOpen = false
        switch end {
        case .socket(let socket): socket.close()
        case .peer(let peer): peer.close()
        }
    }

    func send(_ bytes: [UInt8], to address: SocketAddress, ecn: CongestionMark = .notCapable) {
        switch end {
        case .peer(let peer): peer.send(bytes, to: address, ecn: ecn)
        case .socket(let socket):
            var path = DatagramPath()
            path.ecn = ecn
            var batch = OutgoingDatagrams(capacity: 1, byteCapacity: OutgoingDatagrams.mostBytes, usesSegments: false)
            let nothing = IncomingDatagrams(capacity: 1, room: 1)
            let hasRoom = batch.append(bytes.span, to: .peer(socket.peer(address) ?? .none, path), of: nothing)
            let taken = try? socket.send(batch, from: 0)
            #expect(hasRoom && taken == 1)
        }
    }

    func send(_ text: String, to address: SocketAddress) { send(Array(text.utf8), to: address) }

    /// All that have come and were not asked for before.
    func receiveAll() -> [(bytes: [UInt8], from: SocketAddress)] {
        switch end {
        case .peer(let peer): while let next = peer.receive() { received.append(next) }
        case .socket(let socket):
            var batch = IncomingDatagrams(capacity: 16, room: 65_535)
            while isOpen, let count = try? socket.receive(into: &batch) {
                for index in 0..<count {
                    let bytes = batch.withBytes(of: index) { bytes in bytes.indices.map { bytes[$0] } }
                    received.append((bytes, batch.origin(of: index).peer))
                }
            }
        }
        defer { received = [] }
        return received
    }

    var texts: [String] { receiveAll().map { String(decoding: $0.bytes, as: UTF8.self) } }
}

/// Keeps what it is told, and does what its script says.
class TestDatagrams: DatagramProtocol {
    enum Callback: Equatable {
        case started
        case received([UInt8], from: SocketAddress)
        case refused
        case stopped
    }

    typealias Script = (TestDatagrams, Callback, DatagramOrigin?) throws -> Void

    let transport: any DatagramTransport
    private let depth: CallbackDepth
    private let script: Script
    private(set) var callbacks: [Callback] = []
    private(set) var origins: [DatagramOrigin] = []

    init(_ transport: any DatagramTransport, depth: CallbackDepth, script: @escaping Script) {
        self.transport = transport
        self.depth = depth
        self.script = script
    }

    var received: [[UInt8]] {
        callbacks.compactMap { if case .received(let bytes, _) = $0 { bytes } else { nil } }
    }
    var texts: [String] { received.map { String(decoding: $0, as: UTF8.self) } }
    func count(_ callback: Callback) -> Int { callbacks.count { $0 == callback } }

    private func called(_ callback: Callback, _ origin: DatagramOrigin? = nil) throws {
        callbacks.append(callback)
        if let origin { origins.append(origin) }
        try depth.enter { try script(self, callback, origin) }
    }

    func startProtocol() throws { try called(.started) }
    func datagramReceived(_ bytes: Span<UInt8>, from origin: DatagramOrigin) throws {
        try called(.received(bytes.indices.map { bytes[$0] }, from: origin.peer), origin)
    }
    func connectionRefused() throws { try called(.refused) }
    func stopProtocol() throws { try called(.stopped) }
}

/// The same for who takes runs.
final class TestRuns: TestDatagrams, DatagramRunProtocol {
    private(set) var runs: [(byteCount: Int, segmentBytes: Int)] = []
    func datagramsReceived(_ run: Span<UInt8>, each segmentBytes: Int, from origin: DatagramOrigin) throws {
        runs.append((run.count, segmentBytes))
        transport.reply(run, each: segmentBytes)
    }
}

/// One reactor on either driver with UDP sockets.
final class DatagramBench {
    let bench: ContractBench
    private(set) var protocols: [TestDatagrams] = []
    init(_ bench: ContractBench) { self.bench = bench }

    /// Answers each datagram with itself.
    static func echo(_ proto: TestDatagrams, _ callback: TestDatagrams.Callback, _ origin: DatagramOrigin?) {
        if case .received(let bytes, _) = callback { proto.transport.reply(bytes) }
    }

    @discardableResult
    func open(
        on address: SocketAddress? = .loopback(port: 0),
        connectedTo peer: SocketAddress? = nil,
        takesRuns: Bool = false,
        _ configure: (inout DatagramOptions) -> Void = { _ in },
        _ script: @escaping TestDatagrams.Script = DatagramBench.echo
    ) throws -> TestDatagrams {
        var options = DatagramOptions()
        configure(&options)
        var made: TestDatagrams?
        try bench.reactor.openUDP(on: address, connectedTo: peer, options: options) { transport in
            let proto: TestDatagrams =
                takesRuns
                ? TestRuns(transport, depth: bench.depth, script: script)
                : TestDatagrams(transport, depth: bench.depth, script: script)
            made = proto
            return proto
        }
        let proto = try #require(made)
        protocols.append(proto)
        bench.note(port: proto.transport.localAddress.port)
        return proto
    }

    func client(_ address: SocketAddress? = nil) throws -> DatagramClient {
        if let network = bench.network { return try DatagramClient(network.openDatagramPeer(at: address)) }
        let socket = try DatagramSocket.open(for: address ?? .loopback(port: 0))
        try socket.bind(to: address ?? .loopback(port: 0))
        return try DatagramClient(socket)
    }

    func turn(_ what: String, until condition: () -> Bool) { bench.turn(what, until: condition) }

    fileprivate func finish() {
        bench.reactor.endPorts()
        for proto in protocols {
            #expect(proto.callbacks.first == .started && proto.count(.started) == 1)
            #expect(proto.callbacks.last == .stopped && proto.count(.stopped) == 1)
        }
    }
}

/// Runs `body` with a bench for datagrams, and checks afterwards that nothing is left.
func withDatagrams(
    _ kind: DriverKind,
    _ configure: (inout ContractBench.Options) -> Void = { _ in },
    _ body: (DatagramBench) throws -> Void
) throws {
    try withBench(kind, configure) { bench in
        let datagrams = DatagramBench(bench)
        defer { datagrams.finish() }
        try body(datagrams)
    }
}
