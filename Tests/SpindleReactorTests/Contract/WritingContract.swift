// SPDX-License-Identifier: Apache-2.0

import SpindleCore
import Testing

@testable import SpindleReactor

/// Bytes that no two offsets of a message share by chance.
func pattern(_ count: Int) -> [UInt8] { (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 131 &+ $0 >> 8) } }

extension Contract {
    @Suite("writing") struct Writing {
        @Test(
            "C13: every kind of write keeps its place, one callback's leave in one send",
            arguments: DriverKind.allCases
        )
        func order(kind: DriverKind) throws {
            try withBench(kind) { bench in
                let (client, _) = try bench.pair { proto, callback in
                    guard callback == .data else { return }
                    let transport = proto.transport
                    transport.write([UInt8]("array ".utf8))
                    transport.write("static " as StaticString)
                    transport.write(String("string "))
                    transport.write(ByteChunk("chunk "))
                    transport.write([ByteChunk("piece "), ByteChunk(""), ByteChunk("by piece")])
                    transport.write([UInt8]().span)
                }
                let before = bench.counter(.sends)
                client.send("x")
                bench.turn("it came") { client.text == "array static string chunk piece by piece" }
                #expect(bench.counter(.sends) == before + 1)
            }
        }

        @Test("C13: empty writes are no-ops", arguments: DriverKind.allCases)
        func empty(kind: DriverKind) throws {
            try withBench(kind) { bench in
                let (_, proto) = try bench.pair()
                let before = bench.counter(.sends)
                proto.transport.write("")
                proto.transport.write([UInt8]())
                proto.transport.write(ByteChunk([]))
                proto.transport.write([ByteChunk]())
                bench.turn()
                #expect(bench.counter(.sends) == before && proto.transport.bufferedByteCount == 0)
            }
        }

        @Test(
            "C13: a chunk of any size that a callback writes leaves when it returns",
            arguments: DriverKind.allCases,
            [1, 8 << 10, (8 << 10) + 1, 40_000, 200_000]
        )
        func largeChunk(kind: DriverKind, size: Int) throws {
            try withBench(kind) { bench in
                let message = pattern(size)
                let (client, _) = try bench.pair { proto, callback in
                    guard callback == .data else { return }
                    proto.transport.write("<")
                    proto.transport.write(ByteChunk(message))
                    proto.transport.write(">")
                }
                client.send("x")
                bench.turn("it came") { client.received.count == size + 2 }
                #expect(client.received == [UInt8(ascii: "<")] + message + [UInt8(ascii: ">")])
            }
        }

        @Test(
            "C13: a piece of any size that a callback writes keeps its place among small ones",
            arguments: DriverKind.allCases,
            [8 << 10, (8 << 10) + 1, 40_000, 3_000_000]
        )
        func largeSpan(kind: DriverKind, size: Int) throws {
            try withBench(kind) { bench in
                let message = pattern(size)
                let (client, _) = try bench.pair { proto, callback in
                    guard callback == .made else { return }
                    proto.transport.write("<")
                    proto.transport.write(message)
                    proto.transport.write(">")
                }
                bench.turn("it came") { client.received.count == size + 2 }
                #expect(client.received == [UInt8(ascii: "<")] + message + [UInt8(ascii: ">")])
            }
        }

        @Test("C13: the received span is still whole after it was written twice", arguments: DriverKind.allCases)
        func spanTwice(kind: DriverKind) throws {
            try withBench(kind) { bench in
                let message = pattern(20_000)
                let (client, proto) = try bench.pair()
                proto.onBytes = { proto, bytes in
                    proto.transport.write(bytes)
                    proto.transport.write(bytes)
                }
                client.send(message)
                bench.turn("both came") { client.received.count == 40_000 }
                guard proto.pieces.count == 1 else { return }
                #expect(client.received == message + message)
            }
        }

        @Test("C14: an echo is one receive and one send", arguments: DriverKind.allCases)
        func echo(kind: DriverKind) throws {
            try withBench(kind) { bench in
                let (client, proto) = try bench.pair()
                proto.onBytes = { $0.transport.write($1) }
                let before = (bench.counter(.receives), bench.counter(.sends))
                for round in 1...50 {
                    client.send("0123456789")
                    bench.turn("the echo came") { client.received.count == 10 * round }
                }
                #expect(bench.counter(.receives) == before.0 + 50)
                #expect(bench.counter(.sends) == before.1 + 50)
            }
        }

        @Test("C15: partial sends keep every byte and the order", arguments: DriverKind.allCases)
        func partialSends(kind: DriverKind) throws {
            try withBench(kind) { options in
                options.hasSmallBuffers = true
                options.configuration.writeHighWatermarkBytes = 8 << 20
                options.configuration.writeLimitBytes = 16 << 20
            } _: { bench in
                let message = pattern(600_000)
                let (client, proto) = try bench.pair { proto, callback in
                    guard callback == .data else { return }
                    var start = 0
                    var size = 1
                    while start < message.count {
                        let end = min(start + size, message.count)
                        if size % 3 == 0 {
                            proto.transport.write(ByteChunk([UInt8](message[start..<end])))
                        } else {
                            proto.transport.write([UInt8](message[start..<end]))
                        }
                        start = end
                        size = size * 5 % 30_011 + 1
                    }
                }
                client.readsInput = false
                client.send("x")
                bench.turn("the callback ran") { proto.count(.data) == 1 }
                #expect(proto.transport.bufferedByteCount > 0)
                client.readsInput = true
                bench.turn("all came") { client.received.count == message.count }
                #expect(client.received == message)
                #expect(proto.transport.bufferedByteCount == 0)
                bench.turn("writeDrained") { proto.count(.drained) == 1 }
            }
        }

        @Test("C16: watermarks pause and resume reading, once each way", arguments: DriverKind.allCases)
        func watermarks(kind: DriverKind) throws {
            try withBench(kind) { options in
                options.hasSmallBuffers = true
                options.configuration.writeLowWatermarkBytes = 8 << 10
                options.configuration.writeHighWatermarkBytes = 32 << 10
                options.configuration.writeLimitBytes = 1 << 20
            } _: { bench in
                let (client, proto) = try bench.pair { proto, callback in
                    if callback == .data, proto.received.count == 1 {
                        proto.transport.write([UInt8](repeating: 1, count: 100 << 10))
                    }
                }
                client.readsInput = false
                client.send("x")
                bench.turn("the high mark") { proto.count(.highWatermark) == 1 }
                client.send("while paused")
                bench.turn()
                #expect(proto.received.count == 1, "reading pauses by itself above the high mark")
                client.readsInput = true
                bench.turn("the low mark") { proto.count(.lowWatermark) == 1 }
                bench.turn("reading went on") { proto.received.count == 13 }
                bench.turn("drained") { proto.count(.drained) == 1 && client.received.count == 100 << 10 }
                #expect(proto.count(.highWatermark) == 1 && proto.count(.lowWatermark) == 1)
            }
        }

        @Test(
            "C16: a watermark pause and the protocol's own pause do not lift each other",
            arguments: DriverKind.allCases
        )
        func bothPauses(kind: DriverKind) throws {
            try withBench(kind) { options in
                options.hasSmallBuffers = true
                options.configuration.writeLowWatermarkBytes = 8 << 10
                options.configuration.writeHighWatermarkBytes = 32 << 10
                options.configuration.writeLimitBytes = 1 << 20
            } _: { bench in
                let (client, proto) = try bench.pair { proto, callback in
                    if callback == .data, proto.received.count == 1 {
                        proto.transport.write([UInt8](repeating: 1, count: 100 << 10))
                        proto.transport.pauseProducing()
                    }
                }
                client.readsInput = false
                client.send("x")
                bench.turn("the high mark") { proto.count(.highWatermark) == 1 }
                client.send("more")
                proto.transport.resumeProducing()
                bench.turn()
                #expect(proto.received.count == 1, "resumeProducing does not lift the watermark's pause")
                proto.transport.pauseProducing()
                client.readsInput = true
                bench.turn("all left") { proto.count(.drained) == 1 }
                bench.turn()
                #expect(proto.received.count == 1, "the low mark does not lift the protocol's pause")
                proto.transport.resumeProducing()
                bench.turn("reading went on") { proto.received.count == 5 }
            }
        }

        @Test(
            "C16: the cap on all unsent bytes aborts the connection with the most, whoever wrote them",
            arguments: DriverKind.allCases,
            [true, false]
        )
        func reactorLimit(kind: DriverKind, inOwnCallbacks: Bool) throws {
            try withBench(kind) { options in
                options.hasSmallBuffers = true
                options.configuration.reactorWriteLimitBytes = 500 << 10
            } _: { bench in
                func write(_ proto: TestProtocol) {
                    let size = proto.transport.connectionNumber == 2 ? 300 << 10 : 150 << 10
                    proto.transport.write([UInt8](repeating: 1, count: size))
                }
                let address = try bench.listen { if $1 == .data { write($0) } }
                let clients = try (0..<3).map { _ in try bench.connect(to: address) }
                bench.turn("they stand") { bench.protocols.count == 3 }
                for client in clients { client.readsInput = false }
                if inOwnCallbacks {
                    for client in clients { client.send("x") }
                } else {
                    bench.protocols.forEach(write)
                }
                bench.turn("one is aborted") { bench.protocols.contains { $0.isLost } }
                bench.turn()
                let lost = bench.protocols.filter(\.isLost)
                #expect(lost.map(\.transport.connectionNumber) == [2])
                #expect(lost.first?.reasonText == "the limit on unsent bytes was exceeded")
                #expect(bench.counter(.bufferedBytes) <= 500 << 10)
            }
        }

        @Test("C21: writing after the end does nothing and is counted", arguments: DriverKind.allCases)
        func afterEnd(kind: DriverKind) throws {
            try withBench(kind) { bench in
                let (client, proto) = try bench.pair()
                client.close()
                bench.turn("the end came") { proto.isLost }
                let before = (bench.counter(.sends), bench.counter(.droppedWrites))
                proto.transport.write("late")
                proto.transport.write(ByteChunk("late"))
                proto.transport.write([ByteChunk("late"), ByteChunk("later")])
                bench.turn()
                #expect(bench.counter(.sends) == before.0 && bench.counter(.droppedWrites) == before.1 + 4)
                #expect(!proto.transport.isWritable && proto.transport.bufferedByteCount == 0)
            }
        }

        @Test(
            "writes to another connection leave at flush, and its writeDrained is its own",
            arguments: DriverKind.allCases
        )
        func otherConnection(kind: DriverKind) throws {
            try withBench(kind) { bench in
                let address = try bench.listen { proto, callback in
                    guard callback == .data else { return }
                    for other in bench.protocols where other !== proto { other.transport.write("news") }
                    proto.transport.write("own")
                }
                let clients = try (0..<3).map { _ in try bench.connect(to: address) }
                bench.turn("they stand") { bench.protocols.count == 3 }
                clients[1].send("x")
                bench.turn("all got theirs") { clients.map(\.text) == ["news", "own", "news"] }
            }
        }

        @Test(
            "a reset that a protocol meets while it writes on from writeDrained ends the connection",
            arguments: DriverKind.allCases
        )
        func resetWhileStreaming(kind: DriverKind) throws {
            try withBench(kind) {
                $0.hasSmallBuffers = true
            } _: { bench in
                let chunk = ByteChunk(pattern(32 << 10))
                let (client, proto) = try bench.pair { proto, callback in
                    if callback == .made || callback == .drained { proto.transport.write(chunk) }
                }
                bench.turn("some has come") { client.received.count > 100_000 }
                client.reset()
                bench.turn("the end came") { proto.isLost }
                #expect(proto.reasonText.hasPrefix("lost: "))
            }
        }

        @Test("writeDrained comes at most once a turn, however fast the peer reads", arguments: DriverKind.allCases)
        func drainedOncePerTurn(kind: DriverKind) throws {
            try withBench(kind) { bench in
                let chunk = ByteChunk(pattern(16 << 10))
                let (client, proto) = try bench.pair { proto, callback in
                    if callback == .made || callback == .drained { proto.transport.write(chunk) }
                }
                for _ in 0..<50 {
                    let before = proto.count(.drained)
                    bench.turnReactor()
                    #expect(proto.count(.drained) <= before + 1)
                    client.pump()
                }
                #expect(proto.count(.drained) > 10, "it goes on in later turns")
            }
        }

        @Test("C16: at the marks exactly nothing happens; one byte more is over them", arguments: DriverKind.allCases)
        func marks(kind: DriverKind) throws {
            try withBench(kind) {
                $0.hasSmallBuffers = true
                $0.configuration.writeLowWatermarkBytes = 1000
                $0.configuration.writeHighWatermarkBytes = 100_000
                $0.configuration.writeLimitBytes = 200_000
            } _: { bench in
                let (client, proto) = try bench.pair()
                client.readsInput = false
                /// Writes until exactly so many bytes wait.
                func fill(to count: Int) {
                    for _ in 0..<200 where proto.transport.bufferedByteCount < count {
                        proto.transport.write([UInt8](repeating: 1, count: count - proto.transport.bufferedByteCount))
                        bench.turnReactor()
                    }
                }
                fill(to: 100_000)
                #expect(proto.transport.bufferedByteCount == 100_000 && proto.count(.highWatermark) == 0)
                fill(to: 100_001)
                #expect(proto.count(.highWatermark) == 1)
                fill(to: 200_000)
                #expect(!proto.isLost && bench.counter(.writeLimitAborts) == 0)
                proto.transport.write([1])
                bench.turn("the limit aborts it") { proto.isLost }
                #expect(proto.reasonText == "the limit on unsent bytes was exceeded")
                #expect(bench.counter(.writeLimitAborts) == 1)
            }
        }

        @Test("C15: many small chunks that had to wait leave together, 64 to a send", arguments: DriverKind.allCases)
        func vectoredSends(kind: DriverKind) throws {
            try withBench(kind) { bench in
                let (client, proto) = try bench.pair()
                let sends = bench.counter(.sends)
                for number in 0..<640 { proto.transport.write(ByteChunk([UInt8(number & 255)])) }
                bench.turn("all came") { client.received.count == 640 }
                #expect(bench.counter(.sends) - sends == 10)
                #expect(client.received == (0..<640).map { UInt8($0 & 255) })
            }
        }
    }
}
