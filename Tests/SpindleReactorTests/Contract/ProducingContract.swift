// SPDX-License-Identifier: Apache-2.0

import SpindleCore
import Testing

@testable import SpindleReactor

extension Contract {
    @Suite("producers") struct Producing {
        private final class Pusher: PushProducer {
            var events: [String] = []
            var isPaused = false
            func pauseProducing() {
                events.append("pause")
                isPaused = true
            }
            func resumeProducing() {
                events.append("resume")
                isPaused = false
            }
            func stopProducing() { events.append("stop") }
        }

        /// Writes so many pieces when asked.
        private final class Puller: PullProducer {
            let transport: any StreamTransport
            let pieces: [[UInt8]]
            var produced = 0
            var isStopped = false
            init(_ transport: any StreamTransport, _ pieces: [[UInt8]]) {
                (self.transport, self.pieces) = (transport, pieces)
            }
            func produce() -> Bool {
                transport.write(pieces[produced])
                produced += 1
                return produced < pieces.count
            }
            func stopProducing() { isStopped = true }
        }

        private func limit(_ options: inout ContractBench.Options) {
            options.hasSmallBuffers = true
            options.configuration.writeHighWatermarkBytes = 65_536
            options.configuration.writeLowWatermarkBytes = 10_000
        }

        @Test(
            "C25: one that pushes is paused above the high watermark and resumed at the low one",
            arguments: DriverKind.allCases
        )
        func push(kind: DriverKind) throws {
            try withBench(kind) {
                limit(&$0)
            } _: { bench in
                let (client, proto) = try bench.pair()
                let pusher = Pusher()
                try proto.transport.register(pusher)
                client.readsInput = false
                // The socket takes some of it.
                while !pusher.isPaused {
                    proto.transport.write(pattern(5000))
                    bench.turn(times: 1)
                    try #require(proto.transport.bufferedByteCount < 80_000)
                }
                #expect(pusher.events == ["pause"] && proto.transport.bufferedByteCount > 65_536)
                client.readsInput = true
                bench.turn("it goes on") { !pusher.isPaused }
                #expect(pusher.events == ["pause", "resume"])
                proto.transport.unregisterProducer()
                proto.transport.abortConnection()
                bench.turn("it ended") { proto.isLost }
                #expect(pusher.events == ["pause", "resume"], "who is not registered is told nothing")
            }
        }

        @Test("C25: exactly the high watermark is no pause, one byte more is", arguments: Pacing.simulated)
        func exact(kind: DriverKind) throws {
            try withBench(kind) {
                limit(&$0)
            } _: { bench in
                let (client, proto) = try bench.pair { proto, callback in
                    if callback == .made { proto.transport.writeLimits = [RateLimit(bytesPerSecond: 1, burstBytes: 1)] }
                }
                let pusher = Pusher()
                try proto.transport.register(pusher)
                proto.transport.write(pattern(65_537))
                bench.turn("one byte went") { proto.transport.bufferedByteCount == 65_536 }
                bench.turn()
                #expect(pusher.events.isEmpty)
                proto.transport.write([1])
                bench.turn()
                #expect(pusher.events == ["pause"])
                let late = Pusher()
                proto.transport.unregisterProducer()
                try proto.transport.register(late)
                #expect(late.events == ["pause"], "told at once what it finds")
                _ = client
            }
        }

        @Test(
            "C25: one that is pulled is asked whenever nothing is unsent, and never before",
            arguments: DriverKind.allCases
        )
        func pull(kind: DriverKind) throws {
            try withBench(kind) {
                limit(&$0)
            } _: { bench in
                let pieces = (0..<20).map { pattern($0 % 3 == 0 ? 30_000 : 10 + $0) }
                let (client, proto) = try bench.pair()
                let puller = Puller(proto.transport, pieces)
                client.readsInput = false
                try proto.transport.register(puller)
                #expect(puller.produced == 0, "not within the call")
                bench.turn()
                #expect(puller.produced >= 1 && puller.produced < 20 && proto.transport.bufferedByteCount <= 30_000)
                client.readsInput = true
                let whole = pieces.flatMap { $0 }
                bench.turn("everything came") { client.received.count == whole.count }
                let isWhole = client.received == whole
                #expect(isWhole && !puller.isStopped)
                // It said that it was done: the next one can be registered.
                try proto.transport.register(Puller(proto.transport, [[7]]))
                bench.turn("one byte more") { client.received.count == whole.count + 1 }
            }
        }

        @Test(
            "C25, C26: a producer is stopped once, before connectionLost, whatever ends its writing",
            arguments: DriverKind.allCases,
            ["loseConnection", "abortConnection", "loseWriteConnection", "peer resets", "callback throws"]
        )
        func stopped(kind: DriverKind, end: String) throws {
            try withBench(kind) { bench in
                var events: [String] = []
                final class Noting: PushProducer {
                    let note: (String) -> Void
                    init(_ note: @escaping (String) -> Void) { self.note = note }
                    func pauseProducing() {}
                    func resumeProducing() {}
                    func stopProducing() { note("stop") }
                }
                let (client, proto) = try bench.pair { proto, callback in
                    if callback == .lost { events.append("lost") }
                    if callback == .data, end == "callback throws" { throw Planned(callback: .data) }
                }
                try proto.transport.register(Noting { events.append($0) })
                switch end {
                case "loseConnection": proto.transport.loseConnection()
                case "abortConnection": proto.transport.abortConnection()
                case "loseWriteConnection": proto.transport.loseWriteConnection()
                case "peer resets": client.reset()
                default: client.send("x")
                }
                bench.turn("it was stopped") { events.first == "stop" }
                if end == "loseWriteConnection" {
                    bench.turn()
                    #expect(events == ["stop"], "reading goes on")
                    client.close()
                }
                bench.turn("it ended") { events.last == "lost" }
                #expect(events == ["stop", "lost"])
            }
        }

        @Test("C26: what a producer has written before loseConnection arrives", arguments: DriverKind.allCases)
        func flushed(kind: DriverKind) throws {
            try withBench(kind) {
                limit(&$0)
            } _: { bench in
                let (client, proto) = try bench.pair()
                let puller = Puller(proto.transport, [pattern(100_000), [1]])
                try proto.transport.register(puller)
                bench.turn("a piece was written") { puller.produced == 1 }
                proto.transport.loseConnection()
                bench.turn("it ended") { proto.isLost }
                bench.turn("it came") { client.isAtEnd }
                let isWhole = client.received == pattern(100_000)
                #expect(isWhole && puller.isStopped && puller.produced == 1)
            }
        }

        @Test(
            "C25: a second producer is refused; with nobody to write to it is stopped at once",
            arguments: DriverKind.allCases
        )
        func refused(kind: DriverKind) throws {
            try withBench(kind) { bench in
                let (_, proto) = try bench.pair()
                let (first, second) = (Pusher(), Pusher())
                try proto.transport.register(first)
                #expect(throws: ProducerError()) { try proto.transport.register(second) }
                #expect(second.events.isEmpty)
                proto.transport.unregisterProducer()
                try proto.transport.register(second)
                proto.transport.abortConnection()
                bench.turn("it ended") { proto.isLost }
                try proto.transport.register(first)
                #expect(first.events == ["stop"] && second.events == ["stop"])
            }
        }

        @Test(
            "a producer may do anything in its callbacks: unregister, write, close, register another",
            arguments: DriverKind.allCases
        )
        func reentrant(kind: DriverKind) throws {
            try withBench(kind) {
                limit(&$0)
            } _: { bench in
                final class Wild: PushProducer, PullProducer {
                    let transport: any StreamTransport
                    var events: [String] = []
                    init(_ transport: any StreamTransport) { self.transport = transport }
                    func pauseProducing() {
                        events.append("pause")
                        transport.unregisterProducer()
                        try? transport.register(self as any PullProducer)
                    }
                    func resumeProducing() { events.append("resume") }
                    func produce() -> Bool {
                        events.append("produce")
                        transport.write("end")
                        transport.loseConnection()
                        return true
                    }
                    func stopProducing() {
                        events.append("stop")
                        guard events.count < 4 else { return }
                        transport.unregisterProducer()
                        transport.write("late")
                        try? transport.register(self as any PushProducer)
                    }
                }
                let (client, proto) = try bench.pair()
                let wild = Wild(proto.transport)
                try proto.transport.register(wild as any PushProducer)
                proto.transport.write(pattern(200_000))
                bench.turn("it ended") { proto.isLost && client.isAtEnd }
                #expect(client.received == pattern(200_000) + Array("end".utf8))
                // Registered again in its own stop, it is stopped at once: that is the second.
                #expect(
                    wild.events.prefix(2) == ["pause", "produce"]
                        && wild.events.dropFirst(2).allSatisfy { $0 == "stop" }
                )
            }
        }
    }
}
