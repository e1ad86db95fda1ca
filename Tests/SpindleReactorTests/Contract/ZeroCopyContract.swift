// SPDX-License-Identifier: Apache-2.0

import SpindleCore
import SpindleSystem
import Testing

@testable import SpindleReactor

extension Contract {
    /// Chunks of 10,000 bytes and more are sent from where they lie. Drivers that can't do it send them as others.
    @Suite("zero copy") struct ZeroCopy {
        private static func withBench(_ kind: DriverKind, _ body: (ContractBench) throws -> Void) throws {
            try SpindleReactorTests.withBench(kind) {
                $0.configuration.zeroCopyBytes = 10_000
                $0.configuration.lingerTimeout = .milliseconds(1)
            } _: {
                try body($0)
            }
        }

        private static func turnUntilCompleted(_ bench: ContractBench, _ proto: TestProtocol) {
            bench.turn("all sends are completed") { !bench.connection(of: proto).hasSendsInPlace }
        }

        /// So that it is full soon. The bench's small buffers would have a window of less than a segment, which waits
        /// for TCP's timers.
        private static func makeSendBufferSmall(_ bench: ContractBench, _ proto: TestProtocol) throws {
            guard bench.kind.isEpoll else { return }
            try StreamSocket(descriptor: bench.connection(of: proto).handle.rawValue).set(.sendBuffer, 32 << 10)
        }

        @Test(
            "large chunks keep their place among what else is written, and their memory is let go of when it is sent",
            arguments: DriverKind.allCases,
            [false, true]
        )
        func order(kind: DriverKind, readsLate: Bool) throws {
            let large = pattern(600_000)
            try ZeroCopy.withBench(kind) { bench in
                weak var storage: ByteStorage?
                let (client, proto) = try bench.pair { proto, callback in
                    guard callback == .data else { return }
                    let chunk = ByteChunk(large)
                    storage = chunk.storage
                    proto.transport.write("head ")
                    proto.transport.write(chunk)
                    proto.transport.write(" between ")
                    proto.transport.write(chunk.slice(5..<200_000))
                    proto.transport.write(chunk.slice(0..<9000))
                    proto.transport.write(" tail")
                }
                let expected: [[UInt8]] = [
                    [UInt8]("head ".utf8), large, [UInt8](" between ".utf8), Array(large[5..<200_000]),
                    Array(large[..<9000]), [UInt8](" tail".utf8),
                ]
                try ZeroCopy.makeSendBufferSmall(bench, proto)
                for round in 1...3 {
                    client.readsInput = !readsLate
                    client.send("x")
                    bench.turn()
                    client.readsInput = true
                    bench.turn("all came") { client.received.count == round * expected.reduce(0) { $0 + $1.count } }
                    let isRight = client.received.suffix(client.received.count / round) == ArraySlice(expected.joined())
                    #expect(isRight, "other bytes came")
                    ZeroCopy.turnUntilCompleted(bench, proto)
                    #expect(storage == nil && !bench.connection(of: proto).state.flags.contains(.inputIsFinal))
                }
                // On loopback the kernel copies after all, and says so.
                let sends = bench.counter(.zeroCopySends)
                #expect(kind.isEpoll ? sends >= 6 : sends == 0)
                #expect(bench.counter(.zeroCopyCopied) == sends)
            }
        }

        @Test("what is sent so is sent before the end, from either side", arguments: DriverKind.allCases)
        func ends(kind: DriverKind) throws {
            let large = pattern(500_000)
            for peerEndsFirst in [false, true] {
                try ZeroCopy.withBench(kind) { bench in
                    let (client, proto) = try bench.pair { proto, callback in
                        guard callback == (peerEndsFirst ? .readEnd : .data) else { return }
                        proto.transport.write(ByteChunk(large))
                        proto.transport.loseConnection()
                    }
                    if peerEndsFirst { client.shutdownWrites() } else { client.send("x") }
                    bench.turn("its end came") { client.isAtEnd }
                    #expect(client.received == large && client.error == nil)
                    client.close()
                    bench.turn("it is closed") { bench.counter(.openConnections) == 0 }
                    #expect(proto.reasonText == "\(DisconnectReason.done)")
                }
            }
        }

        @Test("a reset, from either side, is one", arguments: DriverKind.allCases, [false, true])
        func resets(kind: DriverKind, byPeer: Bool) throws {
            try ZeroCopy.withBench(kind) { bench in
                let (client, proto) = try bench.pair()
                try ZeroCopy.makeSendBufferSmall(bench, proto)
                client.readsInput = false
                proto.transport.write(ByteChunk(pattern(500_000)))
                bench.turn()
                if byPeer { client.reset() } else { proto.transport.abortConnection() }
                bench.turn("it is told") { proto.isLost }
                if kind.isEpoll { bench.turn("what lies there is kept no longer") { bench.reactor.wheel.count == 0 } }
                guard let reason = proto.reason else { return }
                switch reason {
                case .lost: #expect(byPeer)
                case .aborted: #expect(!byPeer)
                default: Issue.record("ended with \(reason)")
                }
            }
        }

        @Test("a paused connection does not take a completed send for an error", arguments: DriverKind.allCases)
        func paused(kind: DriverKind) throws {
            try ZeroCopy.withBench(kind) { bench in
                let (client, proto) = try bench.pair()
                proto.transport.pauseProducing()
                client.send("waits")
                for _ in 0..<5 {
                    proto.transport.write(ByteChunk(pattern(20_000)))
                    bench.turn()
                }
                ZeroCopy.turnUntilCompleted(bench, proto)
                #expect(!proto.isLost && proto.received.isEmpty)
                proto.transport.resumeProducing()
                bench.turn("it came") { proto.received == Array("waits".utf8) }
            }
        }

        @Test(
            "an adopted socket sends by copies: somebody else may have counted its sends",
            arguments: DriverKind.allCases
        )
        func adopted(kind: DriverKind) throws {
            try ZeroCopy.withBench(kind) { bench in
                let (client, proto) = try bench.pair()
                bench.connection(of: proto).state.flags.insert(.adopted)
                proto.transport.write(ByteChunk(pattern(50_000)))
                bench.turn("it came") { client.received.count == 50_000 }
                #expect(bench.counter(.zeroCopySends) == 0)
            }
        }

        @Test(
            "a close waits for sends to be completed, and when they are not in time it is a reset",
            arguments: [true, false]
        )
        func closing(isCompleted: Bool) throws {
            try SpindleReactorTests.withBench(.simulated) {
                $0.configuration.lingerTimeout = .seconds(1)
                $0.configuration.closeTimeout = .seconds(30)
            } _: { bench in
                let (client, proto) = try bench.pair()
                let extras = bench.connection(of: proto).makeExtras()
                var chunk: ByteChunk? = ByteChunk("on its way")
                weak let storage = chunk?.storage
                extras.inPlace.ability = .can
                extras.inPlace.sent(chunk!)
                chunk = nil
                proto.transport.loseConnection()
                bench.turn("it is told") { proto.isLost }
                bench.advance(by: .seconds(29))
                bench.turn()
                #expect(bench.counter(.openConnections) == 1 && storage != nil, "longer than others linger")
                if isCompleted {
                    extras.inPlace.complete((0, 0), wereCopied: false)
                    bench.advance(by: .seconds(2))
                } else {
                    bench.advance(by: .seconds(2))
                    bench.turn("it is closed") { bench.counter(.openConnections) == 0 }
                    #expect(storage != nil, "a network card may have it still")
                    bench.advance(by: .seconds(2))
                }
                bench.turn("all is gone") { bench.counter(.openConnections) == 0 && storage == nil }
                client.pump()
                // Who has read the end already is told of a reset so.
                #expect(client.error == (isCompleted ? nil : Errno(rawValue: 32)))
            }
        }

        @Test("chunks are let go of by the numbers of their sends, in any order, also behind the last number")
        func numbers() {
            var sends = SendsInPlace()
            for _ in 0..<6 { sends.sent(ByteChunk("x")) }
            sends.complete((1, 2), wereCopied: false)
            #expect(!sends.isEmpty && sends.takeCopiedCount() == 0)
            sends.complete((0, 3), wereCopied: true)
            #expect(!sends.isEmpty && sends.takeCopiedCount() == 2)
            sends.complete((.max - 1, 4), wereCopied: true)
            #expect(!sends.isEmpty && sends.takeCopiedCount() == 1)
            sends.complete((5, 5), wereCopied: true)
            #expect(sends.isEmpty && sends.takeCopiedCount() == 1 && sends.takeCopiedCount() == 0)
        }
    }
}
