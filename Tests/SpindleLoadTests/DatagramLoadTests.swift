// SPDX-License-Identifier: Apache-2.0

import Histogram
import Spindle
import Synchronization
import Testing

@testable import SpindleLoad

@Suite("Datagrams of the load generator", .serialized, .timeLimit(.minutes(1)))
struct DatagramLoadTests {
    enum Lie { case flipsABit, cutsOff, losesTheTenth, sendsTwice, swallows }

    /// An echo server that lies.
    private final class Server: DatagramProtocol {
        let transport: any DatagramTransport
        private let lie: Lie?
        private var count = 0

        init(_ transport: any DatagramTransport, _ lie: Lie?) {
            self.transport = transport
            self.lie = lie
        }

        func datagramReceived(_ bytes: Span<UInt8>, from origin: DatagramOrigin) {
            count += 1
            var copy = bytes.indices.map { bytes[$0] }
            switch lie {
            case .flipsABit? where count == 50: copy[copy.count - 1] ^= 1
            case .cutsOff? where count == 50: copy.removeLast()
            case .losesTheTenth? where count == 10: return
            case .sendsTwice?: transport.reply(copy)
            case .swallows?: return
            default: break
            }
            transport.reply(copy)
        }
    }

    private func run(
        _ lie: Lie? = nil,
        sizes: MessageSizes = .constant(64),
        depth: Int = 3,
        pace: Pace = .closed
    ) async throws -> LoadResult {
        func engine() throws -> Engine {
            var configuration = EngineConfiguration()
            configuration.placement.cores = .count(2)
            configuration.placement.oversubscribe = true
            return try Engine(configuration, log: SilentLog())
        }
        let (server, generator) = (try engine(), try engine())
        let address = try server.listenUDP(on: .loopback(port: 0)) { Server($0, lie) }.address
        try await server.start()
        try await generator.start()
        let plan = LoadPlan(
            work: .datagrams,
            address: address,
            connections: 6,
            sizes: sizes,
            depth: depth,
            pace: pace,
            duration: .milliseconds(100),
            warmup: .zero
        )
        let outcome: Result<LoadResult, any Error>
        do { outcome = .success(try await LoadGenerator(plan, on: generator).run()) } catch {
            outcome = .failure(error)
        }
        await generator.stop()
        await server.stop()
        return try outcome.get()
    }

    @Test("every datagram comes back, of any size, in a closed and in an open loop")
    func honest() async throws {
        for pace in [Pace.closed, .open(messagesPerSecond: 2000)] {
            let result = try await run(sizes: .uniform(8...1400), pace: pace)
            #expect(result.messages > 50 && result.lost == 0)
            #expect(result.latency.totalCount > 50)
        }
    }

    @Test("a byte that is wrong, or missing, fails the run", arguments: [Lie.flipsABit, .cutsOff])
    func wrong(lie: Lie) async throws {
        let failure = await #expect(throws: LoadFailure.self) { try await run(lie) }
        guard case .mismatch? = failure else { throw try #require(failure) }
    }

    @Test("one that comes twice counts once, and one that is lost is counted, whose place is used again")
    func lostAndDoubled() async throws {
        let doubled = try await run(.sendsTwice)
        #expect(doubled.lost == 0 && doubled.messages > 50)
        let lost = try await run(.losesTheTenth)
        #expect((1...2).contains(lost.lost ?? 0) && lost.messages > 50, "one for each reactor that has ten")
    }

    @Test("a server that answers nothing is a failure, and so is one that is not there")
    func silent() async throws {
        let failure = await #expect(throws: LoadFailure.self) { try await run(.swallows) }
        guard case .noAnswer? = failure else { throw try #require(failure) }
    }

    @Test("a window knows what is on its way, in any order, and gives up what is late")
    func window() {
        var window = DatagramWindow(depth: 3, sizes: [10, 20])
        let sent = (0..<3).map { window.send(at: UInt64($0), now: UInt64($0)) }
        #expect(sent.map(\.size) == [10, 20, 10] && window.room == 0 && window.onTheWay == 3)
        #expect(window.receive(sent[2].number, size: 10) == .onTime(start: 2))
        #expect(window.receive(sent[2].number, size: 10) == .unexpected)
        #expect(window.receive(sent[1].number, size: 10) == .wrong)
        #expect(window.receive(99, size: 10) == .wrong)
        let next = window.send(at: 7, now: 8)
        #expect(next.size == 20 && next.number != sent[2].number)
        #expect(window.giveUp(sentBefore: 1) == 1 && window.lost == 1 && window.room == 1)
        #expect(window.receive(sent[0].number, size: 10) == .unexpected)
        #expect(window.receive(next.number, size: 20) == .onTime(start: 7))
        #expect(window.received == 2 && window.sent == 4)
    }
}
