// SPDX-License-Identifier: Apache-2.0

import CFraming
import Spindle
import SpindleProtocols
import SpindleSimulation

/// What taking a stream apart costs, beside the raw C loop over the same bytes: A B A B, the median of the rounds.
enum FramingSpeed {
    /// Adds up what came, as the C loop does. Not generic, as a program's protocols are not.
    private final class LineSum: FramedProtocol {
        let transport: any StreamTransport
        let framing = Framing(LineFormat())
        var sum: UInt64 = 0
        init(_ transport: any StreamTransport) { self.transport = transport }
        func frameReceived(_ frame: Span<UInt8>) {
            sum &+= UInt64(frame.count) + (frame.isEmpty ? 0 : UInt64(frame[0]))
        }
    }

    private final class PrefixedSum: FramedProtocol {
        let transport: any StreamTransport
        let framing = Framing(LengthPrefixFormat<UInt32>())
        var sum: UInt64 = 0
        init(_ transport: any StreamTransport) { self.transport = transport }
        func frameReceived(_ frame: Span<UInt8>) {
            sum &+= UInt64(frame.count) + (frame.isEmpty ? 0 : UInt64(frame[0]))
        }
    }

    private static let pieceBytes = 64 << 10

    static func run(_ arguments: Arguments) throws -> Figures {
        let rounds = Rounds(
            pieces: arguments.number("pieces", default: 500),
            count: arguments.number("rounds", default: 25)
        )
        let line = [UInt8](repeating: UInt8(ascii: "x"), count: 99) + [UInt8(ascii: "\n")]
        let message = [0, 0, 0, 64] + [UInt8](repeating: 7, count: 64)
        let (lines, messages) = (piece(of: line), piece(of: message))
        let byLines = rounds.compare(lines, line.count, take(LineFormat()), inC: cf_lines)
        let lineProtocol = try rounds.compare(lines, line.count, receive(LineSum.init), inC: cf_lines)
        let byLength = rounds.compare(messages, message.count, take(LengthPrefixFormat<UInt32>()), inC: cf_prefixed)
        let lengthProtocol = try rounds.compare(messages, message.count, receive(PrefixedSum.init), inC: cf_prefixed)
        return [
            "lineNs": byLines.ours, "cLineNs": byLines.theirs, "lineRateOverC": byLines.ratio,
            "lineProtocolNs": lineProtocol.ours, "lineProtocolRateOverC": lineProtocol.ratio,
            "prefixedNs": byLength.ours, "cPrefixedNs": byLength.theirs, "prefixedRateOverC": byLength.ratio,
            "prefixedPerSecond": 1e9 / byLength.ours,
            "prefixedProtocolNs": lengthProtocol.ours, "prefixedProtocolPerSecond": 1e9 / lengthProtocol.ours,
        ]
    }

    private static func piece(of message: [UInt8]) -> [UInt8] {
        (0..<pieceBytes / message.count).flatMap { _ in message }
    }

    /// The decoder alone.
    private static func take(_ format: LineFormat) -> (Span<UInt8>) -> Void {
        let framing = Framing(format)
        return { bytes in take(bytes, framing) }
    }

    private static func take(_ format: LengthPrefixFormat<UInt32>) -> (Span<UInt8>) -> Void {
        let framing = Framing(format)
        return { bytes in take(bytes, framing) }
    }

    @inline(__always)
    private static func take<Format: FrameFormat>(_ bytes: Span<UInt8>, _ framing: Framing<Format>) {
        var sum: UInt64 = 0
        framing.take(bytes) { (frame) throws(Never) in
            sum &+= UInt64(frame.count) + (frame.isEmpty ? 0 : UInt64(frame[0]))
            return true
        } raw: { (_) throws(Never) in
            true
        } failed: { (_) throws(Never) in
        } unread: { _ in
        }
        precondition(sum > 0)
    }

    /// A protocol on a connection, which is asked after every frame whether it still reads.
    private static func receive<Proto: StreamProtocol>(
        _ make: @escaping @Sendable (any StreamTransport) -> Proto
    ) throws -> (Span<UInt8>) -> Void {
        let network = SimulatedNetwork(seed: 1)
        let scheduler = SimulatedScheduler(reactorCount: 1, network: network)
        let made = HandedAround<Proto?>(nil)
        let address = try scheduler.listen(at: .loopback(port: 0)) { _ in
            ClosureFactory {
                made.value = make($0)
                return made.value
            }
        }
        _ = network.connect(to: address)
        scheduler.run(maximumTurns: 100)
        guard let proto = made.value else { fatalError("no connection came") }
        return { bytes in
            _ = scheduler
            _ = proto._deliver(bytes)
        }
    }
}

/// Rounds in which ours and theirs take turns.
private struct Rounds {
    let pieces: Int
    let count: Int

    /// ns per message of both, and the median of the rounds' ratios of their rates.
    func compare(
        _ piece: [UInt8],
        _ messageBytes: Int,
        _ ours: (Span<UInt8>) -> Void,
        inC theirs: (UnsafePointer<UInt8>, Int, UInt64) -> UInt64
    ) -> (ours: Double, theirs: Double, ratio: Double) {
        let messages = Double(pieces * piece.count / messageBytes)
        var times: [(ours: Double, theirs: Double)] = []
        for round in 0..<count {
            var sum: UInt64 = 0
            func timeOurs() -> Double { time { for _ in 0..<pieces { ours(piece.span) } } / messages }
            func timeTheirs() -> Double {
                let taken = time {
                    for _ in 0..<pieces {
                        unsafe piece.withUnsafeBufferPointer { sum = unsafe theirs($0.baseAddress!, $0.count, sum) }
                    }
                }
                precondition(sum > 0)
                return taken / messages
            }
            let first = round.isMultiple(of: 2) ? timeOurs() : timeTheirs()
            let second = round.isMultiple(of: 2) ? timeTheirs() : timeOurs()
            times.append(round.isMultiple(of: 2) ? (first, second) : (second, first))
        }
        func median(_ value: ((ours: Double, theirs: Double)) -> Double) -> Double {
            times.map(value).sorted()[times.count / 2]
        }
        return (median(\.ours), median(\.theirs), median { $0.theirs / $0.ours })
    }

    /// Nanoseconds.
    private func time(_ body: () -> Void) -> Double {
        let start = ContinuousClock.now
        body()
        return (ContinuousClock.now - start) / .nanoseconds(1)
    }
}
