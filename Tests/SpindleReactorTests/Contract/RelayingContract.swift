// SPDX-License-Identifier: Apache-2.0

import SpindleCore
import Testing

@testable import SpindleReactor

extension Contract {
    @Suite("one connection's callback writes to another") struct Relaying {
        @Test(
            "pieces of every size arrive whole and in order, whether they are gathered, copied or sent at once",
            arguments: DriverKind.allCases
        )
        func order(kind: DriverKind) throws {
            try withBench(kind) {
                $0.hasSmallBuffers = true
            } _: { bench in
                let sizes = [1, 20_000, 3, 8192, 8191, 30_000, 30_000, 5, 60_000]
                var wanted: [UInt8] = []
                let address = try bench.listen { proto, callback in
                    guard callback == .data, let other = bench.protocols.first, other !== proto else { return }
                    for (number, size) in sizes.enumerated() {
                        let piece = [UInt8](repeating: UInt8(truncatingIfNeeded: wanted.count + number), count: size)
                        wanted += piece
                        other.transport.write(piece)
                        proto.transport.write([UInt8(number)])
                    }
                }
                let reader = try bench.connect(to: address)
                bench.turn("one stands") { bench.protocols.count == 1 }
                let writer = try bench.connect(to: address)
                bench.turn("both stand") { bench.protocols.count == 2 }
                for _ in 0..<3 { writer.send("x") }
                bench.turn("all came") { wanted.count > 0 && reader.received.count == wanted.count }
                #expect(reader.received == wanted)
                bench.turn("its own came, too") { writer.received.count % sizes.count == 0 }
                #expect(Array(writer.received.prefix(sizes.count)) == sizes.indices.map { UInt8($0) })
            }
        }

        @Test("a large piece costs no copy: it leaves within the callback, by one send", arguments: DriverKind.allCases)
        func atOnce(kind: DriverKind) throws {
            try withBench(kind) { bench in
                var sends: [UInt64] = []
                let address = try bench.listen { proto, callback in
                    guard callback == .data, let other = bench.protocols.first, other !== proto else { return }
                    let before = bench.counter(.sends)
                    other.transport.write([UInt8](repeating: 7, count: 30_000))
                    sends.append(bench.counter(.sends) - before)
                    #expect(other.transport.bufferedByteCount == 0)
                }
                let reader = try bench.connect(to: address)
                bench.turn("one stands") { bench.protocols.count == 1 }
                try bench.connect(to: address).send("x")
                bench.turn("it came") { reader.received.count == 30_000 }
                #expect(sends == [1])
            }
        }

        @Test(
            "who says so goes on reading above the high watermark, and stops when he takes it back",
            arguments: DriverKind.allCases
        )
        func keepsReading(kind: DriverKind) throws {
            try withBench(kind) {
                $0.hasSmallBuffers = true
            } _: { bench in
                let (client, proto) = try bench.pair { proto, callback in
                    if callback == .made { proto.transport.pausesReadingAtHighWatermark = false }
                }
                client.readsInput = false
                proto.transport.write([UInt8](repeating: 1, count: 400_000))
                bench.turn("it is above the mark") { proto.count(.highWatermark) == 1 }
                client.send("go on")
                bench.turn("it is read") { proto.received.count == 5 }
                proto.transport.pausesReadingAtHighWatermark = true
                #expect(!proto.transport.isReading)
                client.send("later")
                bench.turn(times: 5)
                #expect(proto.received.count == 5)
                proto.transport.pausesReadingAtHighWatermark = false
                bench.turn("it is read after all") { proto.received.count == 10 }
                client.readsInput = true
                bench.turn("all is sent") { proto.transport.bufferedByteCount == 0 }
            }
        }
    }
}
