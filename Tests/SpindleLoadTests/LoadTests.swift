// SPDX-License-Identifier: Apache-2.0

import Histogram
import Spindle
import Synchronization
import Testing

@testable import SpindleLoad

@Suite("Load generator", .serialized, .timeLimit(.minutes(1)))
struct LoadTests {
    /// What a server does instead of echoing.
    enum Lie {
        case flipsABit, sendsMore, hangsUp, swallows

        /// Those that are noticed when they happen.
        static let loud = [flipsABit, sendsMore, hangsUp]
    }

    /// An echo server that lies from a given byte of each connection on.
    private final class Server: StreamProtocol {
        let transport: any StreamTransport
        private let lie: Lie?
        private let first: Int
        private var count = 0

        init(_ transport: any StreamTransport, lie: Lie?, from first: Int) {
            self.transport = transport
            self.lie = lie
            self.first = first
        }

        func dataReceived(_ bytes: Span<UInt8>) {
            var copy = bytes.indices.map { bytes[$0] }
            let isTime = (count..<count + copy.count).contains(first)
            switch lie {
            case .flipsABit? where isTime: copy[first - count] ^= 1
            case .sendsMore? where isTime: copy += Array(repeating: 0, count: 1 << 20)
            case .swallows?: return
            case .hangsUp? where isTime: return transport.loseConnection()
            default: break
            }
            count += copy.count
            transport.write(copy)
        }
    }

    private func run(
        work: LoadPlan.Work = .echo,
        lie: Lie? = nil,
        from first: Int = 0,
        honestConnections: Int = 0,
        connections: Int = 10,
        messageBytes: Int = 100,
        sizes: MessageSizes? = nil,
        depth: Int = 3,
        pace: Pace = .closed,
        churn: Double? = nil,
        greets: Bool = false,
        duration: Duration = .milliseconds(50),
        progress: LoadProgress = LoadProgress()
    ) async throws -> LoadResult {
        let server = try Engine(configuration(reactors: 2))
        let accepted = Atomic(0)
        let address = try server.listen(on: .loopback(port: 0)) { transport in
            let isHonest = accepted.add(1, ordering: .relaxed).oldValue < honestConnections
            return Server(transport, lie: isHonest ? nil : lie, from: first)
        }.address
        try await server.start()
        let generator = try Engine(configuration(reactors: 2))
        try await generator.start()
        var plan = LoadPlan(
            work: work,
            address: address,
            connections: connections,
            sizes: sizes ?? .constant(messageBytes),
            depth: depth,
            pace: pace,
            churn: churn,
            duration: duration,
            warmup: .zero
        )
        plan.greets = greets
        let result: Result<LoadResult, any Error>
        do {
            result = .success(try await LoadGenerator(plan, on: generator, server: server).run(progress: progress))
        } catch {
            result = .failure(error)
        }
        await generator.stop(deadline: .zero)
        await server.stop(deadline: .zero)
        return try result.get()
    }

    private func configuration(reactors: Int) -> EngineConfiguration {
        var configuration = EngineConfiguration()
        configuration.placement.cores = .count(reactors)
        configuration.placement.oversubscribe = true
        return configuration
    }

    @Test("every echo is counted once, with its latency, over all connections", arguments: [1, 7], [1, 100, 200_000])
    func honestServer(depth: Int, messageBytes: Int) async throws {
        let progress = LoadProgress()
        let result = try await run(messageBytes: messageBytes, depth: depth, progress: progress)
        // However slow the machine is, what was on the way at the end has come back.
        #expect(progress.messages >= 10 * depth && progress.messages >= result.messages)
        #expect(result.latency.totalCount == UInt64(result.messages))
        #expect(result.serverConnections.reduce(0, +) == 10)
        #expect(result.serverCPU.count == 2 && result.generatorBusy.count == 2)
    }

    @Test(
        "messages of all sizes come back whole, and the mean is that of what was drawn",
        arguments: [
            MessageSizes.uniform(1...3000), .weighted([.init(bytes: 1, weight: 9), .init(bytes: 100_000, weight: 1)]),
        ]
    )
    func sizes(sizes: MessageSizes) async throws {
        let result = try await run(sizes: sizes)
        #expect(result.messages > 0 && result.latency.totalCount == UInt64(result.messages))
    }

    @Test("connections come and go beside a load, each with figures of its own", arguments: [1.0, nil])
    func churn(rate: Double?) async throws {
        let pace = rate.map { Pace.open(messagesPerSecond: 1000 * $0) } ?? .closed
        let result = try await run(pace: pace, churn: 2000, duration: .milliseconds(200))
        let churn = try #require(result.churn)
        #expect(result.messages > 0 && result.latency.totalCount > 0)
        #expect(churn.connections > 0, "some came and went")
        // Each that was due is in the histogram once, opened or not, however long it took; twice would show.
        #expect(churn.latency.totalCount > 0)
        #expect(Double(churn.latency.totalCount) < 1.5 * 2000 * (result.elapsed / .seconds(1)) + 100)
        #expect(try await run().churn == nil)
    }

    @Test("connections that come and go fail the run as others do")
    func lyingToChurn() async throws {
        // The ten that stay are served honestly.
        await #expect(throws: LoadFailure.self) {
            try await run(lie: .hangsUp, honestConnections: 10, churn: 1000, duration: .seconds(30))
        }
    }

    @Test("the server's system calls are counted over the measured time: a receive and a send for each echo")
    func serverCalls() async throws {
        let result = try await run(depth: 1, duration: .milliseconds(200))
        let calls = Dictionary(uniqueKeysWithValues: result.serverCalls.map { ($0.name, $0.count) })
        // The server's counters are read a moment after the generator's, which on a busy machine may be a while.
        let most = 3 * result.messages + 100
        #expect(result.messages / 3 - 100...most ~= calls["recv"] ?? 0)
        #expect(result.messages / 3 - 100...most ~= calls["send"] ?? 0)
        #expect(calls["accept"] != nil && calls["epoll_wait"] != nil)
    }

    @Test("memory for each connection is what the server's process grew by, from before the first")
    func memory() async throws {
        let server = try Engine(configuration(reactors: 1))
        let address = try server.listen(on: .loopback(port: 0)) { Server($0, lie: nil, from: 0) }.address
        try await server.start()
        let generator = try Engine(configuration(reactors: 1))
        try await generator.start()
        var plan = LoadPlan(
            address: address,
            connections: 10,
            sizes: .constant(1),
            depth: 1,
            duration: .milliseconds(20),
            warmup: .zero
        )
        plan.greets = true
        let looks = Recorder()
        let result = try await LoadGenerator(plan, on: generator) {
            ServerUsage(cpu: .zero, residentBytes: looks.next() == 0 ? 1000 : 6000)
        }.run()
        #expect(result.bytesPerConnection == 500)
        await generator.stop(deadline: .zero)
        await server.stop(deadline: .zero)
    }

    @Test("a part of a load with connections that come and go has numbers of its own for both")
    func churnOfAPart() {
        var plan = LoadPlan(
            address: .loopback(port: 1),
            connections: 10,
            sizes: .constant(1),
            depth: 1,
            churn: 5,
            duration: .zero,
            warmup: .zero
        )
        plan.firstConnection = 20
        let churn = plan.churnPlan(generatorReactors: 2)
        #expect(churn?.firstConnection == 20 + LoadPlan.mostConnections && churn?.connections == 128)
        let first = SendSchedule(
            of: churn ?? plan,
            messagesPerSecond: 5,
            for: churn?.numbers(part: 0, of: 2) ?? 0..<1,
            start: 7
        )
        #expect(first.due(0, of: 0) == 7)
    }

    @Test(
        "each connection greets before the load begins, in either loop, and its greeting counts nowhere",
        arguments: [true, false]
    )
    func greetings(isOpen: Bool) async throws {
        let result = try await run(
            connections: 50,
            depth: 1,
            pace: isOpen ? .open(messagesPerSecond: 500) : .closed,
            greets: true,
            duration: .milliseconds(100)
        )
        #expect(result.serverConnections.reduce(0, +) == 50)
        // In the open loop a message waits for nothing: none is late by the greeting that went before it.
        if isOpen { #expect(result.messages <= 500) }
    }

    @Test("a server that does not answer greetings fails the run instead of holding it up")
    func unansweredGreetings() async throws {
        await #expect(throws: LoadFailure.self) {
            try await run(lie: .swallows, connections: 2, greets: true)
        }
    }

    /// Counts how often it was asked.
    private final class Recorder: Sendable {
        private let count = Atomic(0)
        func next() -> Int { count.add(1, ordering: .relaxed).oldValue }
    }

    @Test("sizes are drawn as their distribution says, and alike in every run")
    func drawnSizes() {
        #expect(MessageSizes.constant(7).drawn() == [7])
        let uniform = MessageSizes.uniform(10...20)
        #expect(Set(uniform.drawn()) == Set(10...20) && uniform.drawn() == uniform.drawn())
        let weighted = MessageSizes.weighted([.init(bytes: 1, weight: 3), .init(bytes: 5, weight: 1)])
        #expect(Set(weighted.drawn()) == [1, 5])
        #expect((1.99...2.01).contains(weighted.mean))
        // Rare ones come, too.
        let rare = MessageSizes.weighted([.init(bytes: 64, weight: 999), .init(bytes: 1 << 20, weight: 1)])
        #expect((1050...1180).contains(rare.mean) && rare.drawn().first == rare.drawn().first)
        #expect(
            MessageSizes.weighted([.init(bytes: 1, weight: 1e6), .init(bytes: 2, weight: 1e-3)]).drawn().contains(2)
        )
    }

    @Test("a window counts a message when its last byte has come, from when it was sent, and notices surplus")
    func window() {
        var window = MessageWindow(depth: 2, sizes: [3, 1])
        #expect(window.send(at: 10) == 3 && window.send(at: 20) == 1 && window.room == 0)
        var finished: [UInt64] = []
        #expect(window.receive(2) { finished.append($0) } && finished.isEmpty)
        #expect(window.receive(2) { finished.append($0) } && finished == [10, 20])
        #expect(window.send(at: 30) == 3 && window.onTheWay == 1)
        #expect(window.receive(3) { finished.append($0) } && finished == [10, 20, 30])
        #expect(!window.receive(1) { finished.append($0) } && finished.count == 3)
    }

    @Test("a flipped bit fails the run, with the connection and the byte")
    func mismatch() async throws {
        let error = try await #require(throws: LoadFailure.self) {
            try await run(lie: .flipsABit, from: 12_345, connections: 1, duration: .seconds(20))
        }
        guard case .mismatch(_, 12_345) = error else { throw error }
    }

    @Test("more than was sent fails the run")
    func surplus() async throws {
        let error = try await #require(throws: LoadFailure.self) {
            try await run(lie: .sendsMore, from: 1000, connections: 1, duration: .seconds(20))
        }
        // The surplus bytes are other bytes than the next message's: whichever is seen first.
        switch error {
        case .surplus, .mismatch: break
        default: throw error
        }
    }

    @Test("a server that hangs up fails the run")
    func hangUp() async throws {
        let error = try await #require(throws: LoadFailure.self) {
            try await run(lie: .hangsUp, from: 1000, connections: 3, duration: .seconds(20))
        }
        guard case .connectionLost = error else { throw error }
    }

    @Test(
        "every connection carries one message and is counted once",
        arguments: [Pace.closed, .open(messagesPerSecond: 2000)]
    )
    func connections(pace: Pace) async throws {
        let progress = LoadProgress()
        let result = try await run(
            work: .connect,
            depth: 1,
            pace: pace,
            duration: .milliseconds(200),
            progress: progress
        )
        #expect(result.messages > 0 && progress.messages >= result.messages)
        #expect(result.unsent == 0 || pace.isOpen)
        // Those that were open at the end of an open loop count by when they were due.
        if pace == .closed { #expect(result.latency.totalCount == UInt64(result.messages)) }
    }

    @Test("a lie fails a run of connections, too", arguments: Lie.loud)
    func lyingToConnections(lie: Lie) async throws {
        await #expect(throws: LoadFailure.self) {
            try await run(work: .connect, lie: lie, from: 50, depth: 1, duration: .seconds(20))
        }
    }

    @Test("beyond what one source address has ports for, connections over loopback come from others")
    func sources() {
        let plan = LoadPlan(
            address: .loopback(port: 7),
            connections: 1,
            sizes: .constant(1),
            depth: 1,
            duration: .zero,
            warmup: .zero
        )
        #expect(plan.source(of: 0) == nil && plan.source(of: 19_999) == nil)
        #expect(plan.source(of: 20_000)?.host == "127.0.0.2" && plan.source(of: 65_000)?.host == "127.0.0.4")
        var elsewhere = plan
        elsewhere.address = .ipv4(0x0a00_0001, port: 7)
        #expect(elsewhere.source(of: 65_000) == nil)
    }

    @Test("a server that cannot be reached fails the run, with its address")
    func unreachable() async throws {
        let generator = try Engine(configuration(reactors: 1))
        // A port that was free a moment ago.
        let address = try generator.listen(on: .loopback(port: 0)) { _ in nil }
        try await generator.start()
        await address.stopListening()
        let plan = LoadPlan(
            address: address.address,
            connections: 2,
            sizes: .constant(1),
            depth: 1,
            duration: .seconds(20),
            warmup: .zero
        )
        let error = try await #require(throws: LoadFailure.self) { try await LoadGenerator(plan, on: generator).run() }
        guard case .connect = error else { throw error }
        #expect(error.description.contains("\(address.address)"))
        await generator.stop(deadline: .zero)
    }

    @Test("the pattern's pieces are the stream, across its period, and a wrong byte is found where it is")
    func pattern() {
        let pattern = LoadPattern()
        let period = LoadPattern.period
        for offset in [0, 1, period - 1, period, 10 * period - 3] {
            for count in [1, 100, period - 1, period, 2 * period + 5] {
                var bytes: [UInt8] = []
                pattern.withPieces(from: UInt64(offset), count: count) { piece in
                    for index in piece.indices { bytes.append(piece[index]) }
                }
                #expect(bytes.count == count)
                #expect(pattern.firstMismatch(bytes.span, at: UInt64(offset)) == nil)
                let wrong = count * 2 / 3
                bytes[wrong] ^= 0x80
                #expect(pattern.firstMismatch(bytes.span, at: UInt64(offset)) == wrong)
            }
        }
    }

    @Test("shares cover the whole and differ by at most one", arguments: [0, 1, 7, 64, 1000], [1, 2, 3, 8])
    func shares(whole: Int, parts: Int) {
        var plan = LoadPlan(
            address: .loopback(port: 1),
            connections: whole,
            sizes: .constant(1),
            depth: 1,
            duration: .zero,
            warmup: .zero
        )
        plan.firstConnection = 5
        let shares = (0..<parts).map { plan.numbers(part: $0, of: parts) }
        #expect(shares.flatMap { Array($0) } == Array(5..<whole + 5))
        let sizes = shares.map(\.count)
        #expect((sizes.max() ?? 0) - (sizes.min() ?? 0) <= 1)
    }
}
