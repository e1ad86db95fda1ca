// SPDX-License-Identifier: Apache-2.0

import Glibc
import SpindleSystem
import Testing

@testable import Spindle

/// What one connection does in a random order, on whichever reactor it is.
// Sendable: the connection is on one reactor at a time, and the test looks when it has ended.
private final class Mix: @unchecked Sendable {
    private var random: UInt64
    let limits = [
        RateLimit(bytesPerSecond: 20_000_000, burstBytes: 3000), RateLimit(bytesPerSecond: 50_000_000),
        RateLimit(bytesPerSecond: 5_000_000, burstBytes: 70_000),
    ]
    unowned let server: Engine
    var left: Int
    let ended = Gate()
    /// What was written, and where which descriptors went with it.
    var written: [UInt8] = []
    var passed: [(at: Int, file: String)] = []
    /// What came.
    var received: [UInt8] = []
    var taken: [String] = []

    init(seed: UInt64, steps: Int, server: Engine) {
        random = (seed + 1) &* 0x9E37_79B9_7F4A_7C15 | 1
        left = steps
        self.server = server
    }

    func below(_ limit: Int) -> Int {
        random ^= random << 13
        random ^= random >> 7
        random ^= random << 17
        return Int((random >> 11) % UInt64(limit))
    }

    func someLimits() -> [RateLimit] { (0..<below(3)).map { _ in limits[below(3)] } }

    func piece(_ count: Int) -> [UInt8] {
        let bytes = (written.count..<written.count + count).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) }
        written += bytes
        return bytes
    }

    /// Which open file it is: of two numbers for one file the same.
    static func file(of descriptor: Int32) -> String {
        var status = stat()
        return unsafe fstat(descriptor, &status) == 0 ? "\(status.st_dev) \(status.st_ino)" : "closed"
    }

    static func pipe() -> [Int32] {
        var numbers: [Int32] = [-1, -1]
        _ = unsafe Glibc.pipe(&numbers)
        return numbers
    }
}

private final class Mixer: StreamProtocol {
    typealias Failure = any Error
    let transport: any StreamTransport
    private let mix: Mix
    private var isOver = false

    init(_ transport: any StreamTransport, _ mix: Mix) {
        (self.transport, self.mix) = (transport, mix)
        transport.passedDescriptorLimit = 100_000
        act(3)
    }

    func connectionMade() {
        act(2)
        goOn()
    }

    private func goOn() {
        let body = { [self] in
            guard !isOver else { return }
            act(1 + mix.below(4))
            goOn()
        }
        guard let reactor = Reactor.current else { return }
        if mix.below(2) == 0 { reactor.callSoon(body) } else { reactor.callLater(.microseconds(mix.below(2000)), body) }
    }

    private func act(_ count: Int) {
        for _ in 0..<count where !isOver {
            mix.left -= 1
            guard mix.left >= 0 else { return }
            if mix.left == 0 { finish() } else { step() }
        }
    }

    private func finish() {
        isOver = true
        transport.readLimits = []
        transport.resumeProducing()
        transport.loseWriteConnection()
    }

    private func step() {
        switch mix.below(12) {
        case 0, 1, 2: transport.write(mix.piece(1 + mix.below(100)))
        case 3: transport.write(mix.piece(1 + mix.below(100_000)))
        case 4: transport.write(ByteChunk(mix.piece(1 + mix.below(50_000))))
        case 5, 6:
            let (numbers, at) = (Mix.pipe(), mix.written.count)
            let bytes = mix.piece(1 + mix.below(mix.below(2) == 0 ? 10 : 20_000))
            do {
                try transport.write(bytes.span, passing: numbers)
                for number in numbers { mix.passed.append((at, Mix.file(of: number))) }
            } catch { Issue.record("\(error)") }
            for number in numbers { close(number) }
        case 7: transport.writeLimits = mix.someLimits()
        case 8: transport.readLimits = mix.someLimits()
        case 9: transport.pauseProducing()
        case 10: transport.resumeProducing()
        default:
            guard mix.below(3) == 0, let here = Reactor.current?.index else { return }
            if transport.handOff(to: mix.server.reactors[1 - here], { [mix] in Mixer($0, mix) }) { isOver = true }
        }
    }

    func dataReceived(_ bytes: Span<UInt8>) {
        // Some of it is put back.
        let count = mix.below(4) == 0 ? mix.below(bytes.count + 1) : bytes.count
        for index in 0..<count { mix.received.append(bytes[index]) }
        mix.taken += transport.takePassedDescriptors().map { Mix.file(of: $0.rawValue) }
        transport.unread(bytes.extracting(droppingFirst: count))
        if mix.below(3) == 0 { act(1) }
    }

    func readConnectionLost() {}
    func lowWatermarkReached() { act(1) }
    func writeDrained() { act(1) }

    func connectionLost(_ reason: DisconnectReason) {
        if case .handedOff = reason { return }
        isOver = true
        mix.ended.arrive()
    }
}

/// A peer with a blocking thread's means: sends with descriptors now and then, reads now and then.
private struct MixedPeer {
    let socket: StreamSocket
    let random: Mix
    let all: [UInt8]
    var sent = 0
    var passed: [String] = []
    var received: [UInt8] = []
    var taken: [(at: Int, file: String)] = []
    private(set) var isAtEnd = false
    private var buffer = [UInt8](repeating: 0, count: 65_536)

    init(_ socket: StreamSocket, _ random: Mix, sending all: [UInt8]) {
        (self.socket, self.random, self.all) = (socket, random, all)
    }

    mutating func exchange(until deadline: ContinuousClock.Instant) {
        var hasShutDown = false
        while !isAtEnd || !hasShutDown, ContinuousClock.now < deadline {
            let events = Int16(POLLIN) | (sent < all.count ? Int16(POLLOUT) : 0)
            var wanted = pollfd(fd: socket.descriptor, events: events, revents: 0)
            _ = unsafe poll(&wanted, 1, 10)
            if wanted.revents & Int16(POLLOUT) != 0, sent < all.count { send() }
            if sent == all.count, !hasShutDown {
                hasShutDown = true
                socket.shutdownWrites()
            }
            if wanted.revents & Int16(POLLIN) != 0, !isAtEnd, random.below(2) == 0 { receive() }
        }
    }

    private mutating func send() {
        let numbers = random.below(3) == 0 ? Mix.pipe() : []
        let piece = all[sent..<min(all.count, sent + 1 + random.below(9000))]
        let outcome = unsafe piece.withUnsafeBytes { bytes in
            var one = unsafe SendPiece(base: bytes.baseAddress, byteCount: bytes.count)
            return unsafe withUnsafeMutablePointer(to: &one) { one in
                let pieces = unsafe UnsafeMutableBufferPointer(start: one, count: 1)
                return unsafe numbers.isEmpty ? socket.send(pieces) : socket.send(pieces, passing: numbers)
            }
        }
        if case .bytes(let count) = outcome, count > 0 {
            sent += count
            passed += numbers.map(Mix.file)
        }
        for number in numbers { close(number) }
    }

    private mutating func receive() {
        var arrived = PassedDescriptors(room: StreamSocket.mostPassed)
        switch unsafe buffer.withUnsafeMutableBytes({ unsafe socket.receive(into: $0, &arrived) }) {
        case .bytes(let count):
            received += buffer[..<count]
            taken += arrived.descriptors.map { (received.count, Mix.file(of: $0.rawValue)) }
        case .wouldBlock: break
        case .end, .failed: isAtEnd = true
        }
    }
}

extension EngineTests {
    @Test(
        "descriptors, limits, pauses, hand-offs and bytes put back, in any order: nothing is lost or out of place",
        .timeLimit(.minutes(2)),
        arguments: 0..<8 as Range<UInt64>
    )
    func mixed(seed: UInt64) async throws {
        let server = try engine(reactors: 2) { $0.limits.writeLimitBytes = 64 << 20 }
        let name = SocketAddress.unix("@spindle-mixed-\(getpid())-\(seed)")
        let mix = Mix(seed: seed, steps: 300, server: server)
        try server.listen(on: name) { Mixer($0, mix) }
        try await server.start()
        let socket = try StreamSocket.open(for: name)
        try socket.connect(to: name)
        let all = (0..<400_000).map { UInt8(truncatingIfNeeded: $0 &* 17 &+ $0 >> 9) }
        var peer = MixedPeer(socket, Mix(seed: seed + 77, steps: 1, server: server), sending: all)
        peer.exchange(until: .now + .seconds(60))
        try #require(peer.isAtEnd, "\(peer.received.count) of \(mix.written.count) bytes, \(mix.left) steps left")
        let (isWhole, files) = (peer.received == mix.written, peer.taken.map(\.file) == mix.passed.map(\.file))
        #expect(isWhole && files)
        #expect(zip(peer.taken, mix.passed).allSatisfy { $0.at > $1.at }, "each comes with its byte, or later")
        socket.close()
        await mix.ended.wait()
        let (isReadWhole, filesRead) = (mix.received == all, mix.taken == peer.passed)
        #expect(isReadWhole && filesRead)
        await server.stop()
    }
}
