// SPDX-License-Identifier: Apache-2.0

import SpindleCore
import SpindleSystem
import Testing

@testable import SpindleReactor

extension Contract {
    @Suite("files on disks") struct FilesOnDisks {
        @Test(
            "what is not in memory is read by the blocking pool, in pieces, before it is sent",
            arguments: DriverKind.allCases
        )
        func cold(kind: DriverKind) throws {
            let bytes = pattern(250_000)
            let region = try ScratchFile(bytes).region()
            let slow = SlowSource(region)
            let pool = BlockingPool.running()
            defer { pool.stop(until: MonotonicInstant(nanoseconds: .max)) }
            try withBench(kind) {
                $0.configuration.fileBudgetBytes = 100_000
            } _: { bench in
                bench.reactor.blockingPool = pool
                let (client, proto) = try bench.pair()
                proto.transport.write("head ")
                proto.transport.write(FileRegion(slow, offset: 0, count: bytes.count))
                proto.transport.write(" tail")
                bench.turn("it has come") { client.received.count == bytes.count + 10 }
                #expect(client.received == [UInt8]("head ".utf8) + bytes + [UInt8](" tail".utf8))
                #expect(slow.loadedByteCount == bytes.count && bench.counter(.fileLoads) == 3)
            }
        }

        @Test(
            "a connection that ends while its file is read is closed, and the file with it",
            arguments: DriverKind.allCases
        )
        func endsWhileLoading(kind: DriverKind) throws {
            let slow = SlowSource(try ScratchFile(pattern(100_000)).region())
            // It does nothing before it is started.
            let pool = BlockingPool()
            try withBench(kind) { bench in
                bench.reactor.blockingPool = pool
                let (_, proto) = try bench.pair()
                proto.transport.write(FileRegion(slow, offset: 0, count: 100_000))
                bench.turn("it is asked for") { pool.waitingCount == 1 }
                proto.transport.abortConnection()
                bench.turn("it is over") { proto.isLost }
                pool.start()
                pool.stop(until: MonotonicInstant(nanoseconds: .max))
                bench.turn()
                #expect(slow.loadedByteCount == 100_000)
            }
        }

        @Test("a pool that takes no more work is no reason not to send", arguments: DriverKind.allCases)
        func poolHasStopped(kind: DriverKind) throws {
            let bytes = pattern(100_000)
            let slow = SlowSource(try ScratchFile(bytes).region())
            let pool = BlockingPool()
            pool.stop(until: MonotonicInstant(nanoseconds: .max))
            try withBench(kind) { bench in
                bench.reactor.blockingPool = pool
                let (client, proto) = try bench.pair()
                proto.transport.write(FileRegion(slow, offset: 0, count: bytes.count))
                bench.turn("it has come") { client.received == bytes }
            }
        }

        @Test(
            "a disk that fails ends the connection with what it said",
            arguments: DriverKind.allCases.filter { !$0.isEpoll }
        )
        func unreadable(kind: DriverKind) throws {
            let slow = SlowSource(try ScratchFile(pattern(200_000)).region(), failsAt: 100_000)
            try withBench(kind) { bench in
                let (client, proto) = try bench.pair()
                proto.transport.write(FileRegion(slow, offset: 0, count: 200_000))
                bench.turn("it is over") { proto.isLost && client.isOver }
                #expect(proto.reasonText == "\(DisconnectReason.failed(FileError.unreadable(.inputOutput)))")
            }
        }

        @Test("no timeout runs while a disk is waited for", arguments: DriverKind.allCases.filter { !$0.isEpoll })
        func diskIsSlow(kind: DriverKind) throws {
            let bytes = pattern(100_000)
            let slow = SlowSource(try ScratchFile(bytes).region())
            for closes in [false, true] {
                let slow = SlowSource(FileRegion(slow, offset: 0, count: bytes.count))
                let pool = BlockingPool()
                try withBench(kind) {
                    $0.configuration.idleTimeout = .seconds(10)
                    $0.configuration.writeProgressTimeout = .seconds(10)
                    $0.configuration.closeTimeout = .seconds(10)
                } _: { bench in
                    bench.reactor.blockingPool = pool
                    let (client, proto) = try bench.pair()
                    proto.transport.write(FileRegion(slow, offset: 0, count: bytes.count))
                    if closes { proto.transport.loseConnection() }
                    for _ in 0..<20 {
                        bench.advance(by: .seconds(5))
                        bench.turn(times: 3)
                    }
                    #expect(!proto.isLost && !proto.callbacks.contains(.idle))
                    pool.start()
                    pool.stop(until: MonotonicInstant(nanoseconds: .max))
                    bench.turn("it has come") { client.received == bytes }
                    #expect(bench.counter(.timeouts) == 0)
                    guard !closes else { return }
                    bench.advance(by: .seconds(11))
                    bench.turn("it is idle") { proto.callbacks.contains(.idle) }
                }
            }
        }

        @Test("a file that is being read when its connection is handed on is looked at again there")
        func handedOn() throws {
            let slow = SlowSource(try ScratchFile(pattern(100_000)).region())
            try withBench(.epoll) { bench in
                // It does nothing before it is started.
                let pool = BlockingPool()
                bench.reactor.blockingPool = pool
                let (_, proto) = try bench.pair()
                proto.transport.write(FileRegion(slow, offset: 0, count: 100_000))
                bench.turn("it is asked for") { pool.waitingCount == 1 }
                let unsent = bench.connection(of: proto).takeUnsent()
                #expect(unsent.unsentByteCount == 100_000 && unsent.nextFile?.readyCount == 0)
                pool.stop(until: MonotonicInstant(nanoseconds: .max))
                bench.turn()
            }
        }
    }
}
