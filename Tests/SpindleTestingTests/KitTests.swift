// SPDX-License-Identifier: Apache-2.0

import SpindleTesting
import Testing

/// Greets everybody who says his name in a line; too long a name is the end.
private final class Greeter: StreamProtocol {
    let transport: any StreamTransport
    private var name: [UInt8] = []
    private(set) var reason: DisconnectReason?

    init(_ transport: any StreamTransport) { self.transport = transport }

    func connectionMade() {
        transport.write("Who is there?\n")
        transport.setIdleTimeout(.seconds(30))
    }

    func dataReceived(_ bytes: Span<UInt8>) {
        for index in bytes.indices {
            if bytes[index] == UInt8(ascii: "\n") {
                transport.write("Hello, \(String(decoding: name, as: UTF8.self))!\n")
                name = []
            } else {
                name.append(bytes[index])
            }
        }
        if name.count > 20 { transport.abortConnection() }
    }

    func connectionLost(_ reason: DisconnectReason) { self.reason = reason }
}

@Suite("SpindleTesting: a scripted connection") struct ScriptedConnectionTests {
    @Test("the protocol answers the same for every way of cutting its input", arguments: Cut.all(of: 8))
    func cuts(cut: Cut) {
        let test = ScriptedConnection { Greeter($0) }
        #expect(test.takeText() == "Who is there?\n")
        test.feed("Ada\nBob\n", cut: cut)
        #expect(test.takeText() == "Hello, Ada!\nHello, Bob!\n")
    }

    @Test("timeouts come when the test lets time pass, and no sooner")
    func time() {
        let test = ScriptedConnection { Greeter($0) }
        _ = test.take()
        test.advance(by: .seconds(29))
        #expect(!test.isAtEnd && !test.isClosed)
        test.advance(by: .seconds(2))
        #expect(test.isAtEnd)
        test.close()
        #expect(test.isClosed)
        #expect((test.proto as? Greeter)?.reason.map { "\($0)" } == "done")
    }

    @Test("half-close, loss and abort reach the protocol, and the peer, as from a network")
    func ends() {
        let half = ScriptedConnection { Greeter($0) }
        half.feed("Ada\n")
        half.halfClose()
        #expect(half.takeText() == "Who is there?\nHello, Ada!\n")
        #expect(half.isAtEnd && half.isClosed)
        let lost = ScriptedConnection { Greeter($0) }
        lost.lose()
        guard case .lost? = (lost.proto as? Greeter)?.reason else { return #expect(Bool(false), "not lost") }
        let aborted = ScriptedConnection { Greeter($0) }
        aborted.feed(String(repeating: "x", count: 21))
        #expect(aborted.error == .connectionReset)
        let refused = ScriptedConnection { _ in nil }
        #expect(refused.isAtEnd && refused.proto == nil)
    }

    @Test("a peer that does not read makes an echo stop reading; when it reads, every byte comes")
    func backPressure() {
        final class Echo: StreamProtocol {
            let transport: any StreamTransport
            init(_ transport: any StreamTransport) { self.transport = transport }
            func dataReceived(_ bytes: Span<UInt8>) { transport.write(bytes) }
        }
        let test = ScriptedConnection { Echo($0) }
        test.setWindow(byteCount: 0)
        let bytes = (0..<1_000_000).map { UInt8(truncatingIfNeeded: $0 &* 7) }
        test.feed(bytes)
        #expect(test.unreadByteCount > 100_000)
        #expect(test.transport?.bufferedByteCount ?? 0 > 0)
        test.setWindow(byteCount: 1000)
        #expect(test.take() == bytes)
        #expect(test.unreadByteCount == 0)
    }

    @Test("a handler is tested like a protocol: its reads, waits and timeouts")
    func handler() {
        let test = ScriptedConnection(serving: { connection in
            while let chunk = try await connection.read() {
                // tidy: allow banned: simulated time, which the test moves
                try await connection.sleep(for: .seconds(1))
                try await connection.write(chunk)
            }
            try await connection.write("bye")
        })
        test.feed("hello")
        #expect(test.take() == [])
        test.advance(by: .seconds(1) + .milliseconds(1))
        #expect(test.takeText() == "hello")
        test.halfClose()
        #expect(test.takeText() == "bye")
        #expect(test.isAtEnd && test.isClosed)
    }

    @Test("withTimeout in a handler: in time, late, and with what the body throws, each within the test's own calls")
    func limits() {
        for _ in 0..<20 {
            let test = ScriptedConnection(serving: { connection in
                do {
                    while let chunk = try await connection.withTimeout(.seconds(1), { try await $0.read() }) {
                        try await connection.write(chunk)
                    }
                } catch let error as TimedOut { try await connection.write("\(error)") }
            })
            test.feed("abc")
            #expect(test.takeText() == "abc")
            test.advance(by: .milliseconds(900))
            test.feed("def")
            #expect(test.takeText() == "def")
            test.advance(by: .seconds(2))
            #expect(test.takeText() == "timed out after 1.0 seconds")
            #expect(test.isAtEnd)
        }
    }

    @Test("what a test does to the protocol in between is done on its reactor")
    func calls() {
        let test = ScriptedConnection { Greeter($0) }
        _ = test.take()
        test.perform { reactor in
            reactor.callLater(.seconds(1)) { test.transport?.write("tick") }
            test.transport?.write("now ")
        }
        #expect(test.takeText() == "now ")
        test.advance(by: .seconds(2))
        #expect(test.takeText() == "tick")
    }
}

@Suite("SpindleTesting: what is left of a test") struct ScriptedConnectionEndTests {
    @Test("a scripted connection that is gone leaves nothing of its protocol", arguments: [true, false])
    func leavesNothing(isClosed: Bool) {
        weak var proto: Greeter?
        do {
            let test = ScriptedConnection { transport in
                let greeter = Greeter(transport)
                proto = greeter
                return greeter
            }
            test.feed("Ada\n")
            if isClosed { test.halfClose() }
            #expect(test.isClosed == isClosed)
        }
        #expect(proto == nil)
    }
}

@Suite("SpindleTesting: two protocols, back to back") struct ProtocolPairTests {
    /// Says its numbers one after the other, and takes the other's.
    private final class Counting: StreamProtocol {
        let transport: any StreamTransport
        var sent: UInt8 = 0
        var taken: [UInt8] = []
        init(_ transport: any StreamTransport) { self.transport = transport }
        func connectionMade() { next() }
        func next() {
            guard sent < 200 else { return }
            transport.write([sent])
            sent += 1
        }
        func dataReceived(_ bytes: Span<UInt8>) {
            for index in bytes.indices {
                taken.append(bytes[index])
                next()
            }
        }
    }

    @Test("they talk through cuts and delays, and nothing is lost", arguments: 0..<20 as Range<UInt64>)
    func talk(seed: UInt64) throws {
        var ends: [Counting] = []
        var faults = FaultPlan(seed: seed)
        faults.acceptErrors = 0
        let build = { (transport: any StreamTransport) -> Counting in
            let end = Counting(transport)
            ends.append(end)
            return end
        }
        let pair = try ProtocolPair(seed: seed, faults: faults, client: build, server: build)
        #expect(pair.run { ends.count == 2 && ends.allSatisfy { $0.taken.count == 200 } } == .fulfilled)
        #expect(ends.allSatisfy { $0.taken == Array(0..<200) })
        pair.end()
    }
}

@Suite("SpindleTesting: a clock that tests move") struct ManualClockTests {
    @Test("sleepers go on when their time has come, and not before; the cancelled one at once")
    func sleepers() async throws {
        let clock = ManualClock()
        let start = clock.now
        // tidy: allow banned: a manual clock's
        let early = Task { try await clock.sleep(until: start.advanced(by: .seconds(1))) }
        // tidy: allow banned: a manual clock's
        let late = Task { try await clock.sleep(until: start.advanced(by: .seconds(3))) }
        // tidy: allow banned: a manual clock's
        let cancelled = Task { try await clock.sleep(until: start.advanced(by: .seconds(9))) }
        while clock.sleeperCount < 3 { await Task.yield() }
        clock.advance(by: .milliseconds(999))
        #expect(clock.sleeperCount == 3)
        clock.advance(by: .milliseconds(1))
        try await early.value
        #expect(clock.sleeperCount == 2)
        cancelled.cancel()
        await #expect(throws: CancellationError.self) { try await cancelled.value }
        clock.advance(by: .seconds(5))
        try await late.value
        #expect(clock.sleeperCount == 0)
        // tidy: allow banned: a manual clock's
        try await clock.sleep(until: start)
        #expect(start.duration(to: clock.now) == .seconds(6))
    }
}
