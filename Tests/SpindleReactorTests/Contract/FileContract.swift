// SPDX-License-Identifier: Apache-2.0

import SpindleCore
import SpindleSystem
import Testing

@testable import SpindleReactor

extension Contract {
    @Suite("files") struct Files {
        private static let sizes = [1, 3000, 64 << 10, (64 << 10) + 1, 700_000]

        @Test(
            "a file of any size keeps its place among what is written before and behind it",
            arguments: DriverKind.allCases,
            sizes
        )
        func order(kind: DriverKind, size: Int) throws {
            let bytes = pattern(size)
            let file = ScratchFile(bytes)
            try withBench(kind) { bench in
                let (client, _) = try bench.pair { proto, callback in
                    guard callback == .data else { return }
                    proto.transport.write("head ")
                    proto.transport.write(try file.region())
                    proto.transport.write(" between ")
                    proto.transport.write(ByteChunk("a chunk "))
                    proto.transport.write(try file.region(size / 2))
                    proto.transport.write(try file.region(0, size / 3))
                    proto.transport.write(" tail")
                }
                client.send("x")
                let expected: [[UInt8]] = [
                    [UInt8]("head ".utf8), bytes, [UInt8](" between a chunk ".utf8), Array(bytes[(size / 2)...]),
                    Array(bytes[..<(size / 3)]), [UInt8](" tail".utf8),
                ]
                bench.turn("all came") { client.received.count >= expected.reduce(0) { $0 + $1.count } }
                #expect(client.received == Array(expected.joined()))
            }
        }

        @Test("an empty file, or none of a file's bytes, is nothing", arguments: DriverKind.allCases)
        func empty(kind: DriverKind) throws {
            let (nothing, something) = (ScratchFile([]), ScratchFile(pattern(10)))
            try withBench(kind) { bench in
                let (_, proto) = try bench.pair()
                let before = bench.counter(.sends)
                proto.transport.write(try nothing.region())
                proto.transport.write(try something.region(10))
                proto.transport.write(try something.region(3, 0))
                bench.turn()
                #expect(bench.counter(.sends) == before && proto.transport.bufferedByteCount == 0)
                #expect(!proto.callbacks.contains(.drained))
            }
        }

        @Test(
            "a file counts for the watermarks until it is sent, and writeDrained comes after it",
            arguments: DriverKind.allCases
        )
        func watermarks(kind: DriverKind) throws {
            let bytes = pattern(1_000_000)
            let file = ScratchFile(bytes)
            try withBench(kind) {
                $0.hasSmallBuffers = true
            } _: { bench in
                let (client, proto) = try bench.pair()
                client.readsInput = false
                proto.transport.write(try file.region())
                #expect(proto.transport.bufferedByteCount == bytes.count)
                bench.turn("it is full") { proto.callbacks.contains(.highWatermark) }
                bench.turn()
                #expect(!proto.transport.isReading && proto.transport.bufferedByteCount > 500_000)
                #expect(bench.counter(.bufferedBytes) == 0, "it takes no memory")
                client.readsInput = true
                bench.turn("it has gone") { proto.callbacks.contains(.drained) }
                #expect(proto.transport.isReading && proto.transport.bufferedByteCount == 0)
                #expect(proto.callbacks == [.made, .highWatermark, .lowWatermark, .drained])
                bench.turn("it has come") { client.received.count == bytes.count }
                #expect(client.received == bytes)
            }
        }

        @Test("loseConnection and loseWriteConnection send the file first", arguments: DriverKind.allCases)
        func ends(kind: DriverKind) throws {
            let bytes = pattern(700_000)
            let file = ScratchFile(bytes)
            for half in [false, true] {
                try withBench(kind) { bench in
                    let (client, proto) = try bench.pair()
                    proto.transport.write(try file.region())
                    if half { proto.transport.loseWriteConnection() } else { proto.transport.loseConnection() }
                    proto.transport.write(try file.region(0, 1))
                    bench.turn("its end came") { client.isAtEnd }
                    #expect(client.received == bytes && client.error == nil)
                    if !half {
                        bench.turn("it is told") { proto.isLost }
                        #expect(proto.reasonText == "\(DisconnectReason.done)")
                    }
                }
            }
        }

        @Test(
            "a file that becomes shorter while it is sent ends the connection with a reset, and says why",
            arguments: DriverKind.allCases,
            [0, 1000, 40_000]
        )
        func shrinks(kind: DriverKind, left: Int) throws {
            let file = ScratchFile(pattern(1_000_000))
            try withBench(kind) {
                $0.hasSmallBuffers = true
            } _: { bench in
                let (client, proto) = try bench.pair()
                proto.transport.write("head ")
                proto.transport.write(try file.region())
                file.cut(to: left)
                bench.turn("it is over") { proto.isLost && client.isOver }
                #expect(proto.reasonText == "\(DisconnectReason.failed(FileError.shrank))")
                #expect(client.error == .connectionReset)
                #expect(bench.log.count(containing: "became shorter") == 1)
            }
        }

        @Test("more files than the hard limit has room for end the connection", arguments: DriverKind.allCases)
        func tooMany(kind: DriverKind) throws {
            let file = ScratchFile(pattern(100_000))
            try withBench(kind) {
                $0.hasSmallBuffers = true
                $0.configuration.writeLimitBytes = 1 << 20
            } _: { bench in
                let (client, proto) = try bench.pair()
                client.readsInput = false
                // A piece that is sent within the turn has room for another.
                for _ in 0..<64 { proto.transport.write(try file.region()) }
                bench.turn()
                #expect(!proto.isLost)
                for _ in 0..<3 { proto.transport.write(try file.region()) }
                bench.turn("it is over") { proto.isLost }
                #expect(proto.reasonText == "\(DisconnectReason.writeLimitExceeded)")
            }
        }

        @Test(
            "a file goes in pieces of the budget, a turn each, so that others have theirs between them",
            arguments: DriverKind.allCases
        )
        func budget(kind: DriverKind) throws {
            let bytes = pattern(50_000)
            let file = ScratchFile(bytes)
            try withBench(kind) {
                $0.configuration.fileBudgetBytes = 10_000
            } _: { bench in
                let (client, proto) = try bench.pair()
                let (turns, sent) = (bench.counter(.turns), bench.counter(.bytesSent))
                proto.transport.write(try file.region())
                for turn in 1...5 {
                    bench.turnReactor()
                    #expect(bench.counter(.bytesSent) - sent == UInt64(turn * 10_000))
                }
                #expect(bench.counter(.turns) - turns == 5 && bench.counter(.fileBudgetExhausted) == 4)
                bench.turn("it has come") { client.received == bytes }
                // Several files, written outside of callbacks and within, and pieces that don't end with a turn.
                let before = (bench.counter(.bytesSent), bench.counter(.turns))
                for _ in 0..<3 { proto.transport.write(try file.region(0, 7000)) }
                for turn in 1...3 {
                    bench.turnReactor()
                    #expect(bench.counter(.bytesSent) - before.0 == UInt64(min(turn * 10_000, 21_000)))
                }
            }
        }

        @Test("a callback's file beyond the budget goes on in the next turn", arguments: DriverKind.allCases)
        func budgetOfCallback(kind: DriverKind) throws {
            let bytes = pattern(50_000)
            let file = ScratchFile(bytes)
            try withBench(kind) {
                $0.configuration.fileBudgetBytes = 10_000
            } _: { bench in
                let (client, _) = try bench.pair { proto, callback in
                    if callback == .data { proto.transport.write(try file.region()) }
                }
                client.send("x")
                bench.turn("it has come") { client.received == bytes }
            }
        }

        @Test(
            "a peer that resets in the middle of a file is a lost connection, and no signal",
            arguments: DriverKind.allCases
        )
        func reset(kind: DriverKind) throws {
            let file = ScratchFile(pattern(1_000_000))
            try withBench(kind) {
                $0.hasSmallBuffers = true
            } _: { bench in
                let (client, proto) = try bench.pair()
                client.readsInput = false
                proto.transport.write(try file.region())
                bench.turn()
                client.reset()
                bench.turn("it is told") { proto.isLost }
                guard case .lost? = proto.reason else {
                    Issue.record("ended with \(proto.reasonText)")
                    return
                }
            }
        }

        @Test("a file is limited to the connection's rate", arguments: DriverKind.allCases.filter { !$0.isEpoll })
        func rate(kind: DriverKind) throws {
            let bytes = pattern(30_000)
            let file = ScratchFile(bytes)
            try withBench(kind) { bench in
                let (client, proto) = try bench.pair()
                proto.transport.writeLimits = [RateLimit(bytesPerSecond: 10_000)]
                proto.transport.write("head")
                proto.transport.write(try file.region())
                for second in 1...2 {
                    for _ in 0..<100 {
                        bench.advance(by: .milliseconds(10))
                        bench.turn(times: 2)
                    }
                    #expect((9_000 * second...11_000 * second + 2_000).contains(client.received.count))
                }
                for _ in 0..<200 {
                    bench.advance(by: .milliseconds(10))
                    bench.turn(times: 2)
                }
                #expect(Array(client.received.dropFirst(4)) == bytes)
            }
        }

        @Test(
            "a file that says it has more bytes than it gives ends the connection with a reset",
            arguments: DriverKind.allCases
        )
        func promisesTooMuch(kind: DriverKind) throws {
            // Its size is that of a page.
            let region = try FileRegion(path: "/sys/devices/system/cpu/online")
            try withBench(kind) { bench in
                let (client, proto) = try bench.pair { proto, callback in
                    if callback == .data { proto.transport.write(region) }
                }
                client.send("x")
                bench.turn("it is over") { proto.isLost && client.isOver }
                #expect(proto.reasonText == "\(DisconnectReason.failed(FileError.shrank))")
            }
        }

        @Test(
            "files without a page cache are read and sent",
            .enabled(if: (try? FileRegion(path: "/proc/config.gz")) != nil, "a kernel without IKCONFIG_PROC"),
            arguments: DriverKind.allCases
        )
        func unsupported(kind: DriverKind) throws {
            let region = try FileRegion(path: "/proc/config.gz")
            try withBench(kind) { bench in
                let (client, proto) = try bench.pair()
                proto.transport.write(region)
                bench.turn("it has come") { client.received.count == region.count }
                #expect(client.received == (try region.read(atMost: region.count)))
            }
        }

        @Test(
            "a peer that goes on taking a file after loseConnection has the close timeout for each part of it",
            arguments: DriverKind.allCases.filter { !$0.isEpoll }
        )
        func longerThanCloseTimeout(kind: DriverKind) throws {
            let file = ScratchFile(pattern(400_000))
            try withBench(kind) {
                $0.hasSmallBuffers = true
                $0.configuration.closeTimeout = .seconds(1)
            } _: { bench in
                let (client, proto) = try bench.pair()
                proto.transport.write(try file.region())
                proto.transport.loseConnection()
                client.readsInput = false
                for _ in 0..<20 {
                    bench.advance(by: .milliseconds(400))
                    bench.turn(times: 2)
                    client.readsInput = true
                    client.pump()
                    client.readsInput = false
                }
                #expect(!proto.isLost && (10_000..<400_000).contains(client.received.count))
                bench.turn()
                bench.advance(by: .seconds(2))
                bench.turn("it is over") { proto.isLost }
                #expect(proto.reasonText == "\(DisconnectReason.timedOut(.close))")
            }
        }

        @Test("what many files have together is no more than there are numbers for", arguments: [DriverKind.simulated])
        func manyBytes(kind: DriverKind) throws {
            let region = FileRegion(SlowSource(try ScratchFile([1]).region()), offset: 0, count: .max)
            try withBench(kind) {
                $0.hasSmallBuffers = true
            } _: { bench in
                let (_, proto) = try bench.pair()
                for _ in 0..<3 {
                    proto.transport.write(region)
                    #expect(proto.transport.bufferedByteCount > Int.max / 2)
                }
                proto.transport.abortConnection()
            }
        }

        @Test("the bytes of files and chunks in any order are counted", arguments: [DriverKind.simulated])
        func counted(kind: DriverKind) throws {
            let file = ScratchFile(pattern(10_000))
            var queue = WriteQueue()
            var (expected, random) = (0, UInt64(7))
            for step in 0..<3000 {
                random = random &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                let count = Int(random >> 33) % 5000 + 1
                switch step % 5 {
                case 0, 1:
                    queue.append(try file.region(0, count))
                    expected += count
                case 2:
                    queue.append(ByteChunk(pattern(count)))
                    expected += count
                default:
                    var pieces = SendPieces()
                    queue.list(into: &pieces, atMost: count)
                    let next = queue.nextFile.map { min($0.region.count, count) } ?? pieces.byteCount
                    let before = queue.byteCount
                    #expect(before - queue.removeFirst(next) == queue.byteCount)
                    expected -= next
                }
                #expect(queue.unsentByteCount == expected && queue.isEmpty == (expected == 0))
            }
            #expect(expected > 0)
        }
    }
}
