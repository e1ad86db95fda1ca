// SPDX-License-Identifier: Apache-2.0

import FuzzDriver
import SpindleProtocols

/// Any bytes, cut anywhere, give the same messages as in one piece, and no more is kept than the limit allows.
///
/// Input: which format, its limit, a seed for the cuts, then the stream.
@main
enum FuzzFraming {
    static func main() { fuzz(check) }

    private static func check(_ input: [UInt8]) {
        guard input.count > 3 else { return }
        let limit = Int(input[1]) + 1
        let seed = input[2]
        let stream = Array(input[3...])
        switch input[0] % 8 {
        case 0: checkCuts(LineFormat(limitBytes: limit), stream, seed, most: limit + 2)
        case 1: checkCuts(DelimiterFormat("\r\n", limitBytes: limit), stream, seed, most: limit + 2)
        case 2: checkCuts(DelimiterFormat("aab", limitBytes: limit), stream, seed, most: limit + 3)
        case 3: checkCuts(LengthPrefixFormat<UInt8>(limitBytes: limit), stream, seed, most: limit + 1)
        case 4: checkCuts(LengthPrefixFormat<UInt64>(limitBytes: limit), stream, seed, most: limit + 8)
        case 5: checkCuts(NetstringFormat(limitBytes: limit), stream, seed, most: limit + 5)
        case 6:
            let format = LengthFieldFormat(
                offset: 1,
                fieldBytes: 2,
                adjustmentBytes: Int(Int8(bitPattern: seed)),
                droppedBytes: 2,
                limitBytes: limit + 2
            )
            checkCuts(format, stream, seed, most: limit + 2)
        default:
            let format = LengthFieldFormat(fieldBytes: 8, isBigEndian: false, limitBytes: limit + 7)
            checkCuts(format, stream, seed, most: limit + 7)
        }
    }
}

private func checkCuts(_ format: some FrameFormat, _ stream: [UInt8], _ seed: UInt8, most: Int) {
    let whole = takenApart([stream], format, most: .max)
    var cuts: [[UInt8]] = []
    var state = UInt32(seed) &+ 1
    var start = 0
    while start < stream.count {
        // Xorshift; any sequence will do.
        state ^= state << 13
        state ^= state >> 17
        state ^= state << 5
        let end = min(stream.count, start + 1 + Int(state % 7))
        cuts.append(Array(stream[start..<end]))
        start = end
    }
    let cut = takenApart(cuts, format, most: most)
    guard cut == whole else { fatalError("\(format): \(cut) is not \(whole)") }
}

private func takenApart(_ pieces: [[UInt8]], _ format: some FrameFormat, most: Int) -> [[UInt8]?] {
    let framing = Framing(format)
    var heard: [[UInt8]?] = []
    for piece in pieces {
        framing.take(piece.span) { (frame) throws(Never) in
            var contents: [UInt8] = []
            for index in frame.indices { contents.append(frame[index]) }
            heard.append(contents)
            return true
        } raw: { (_) throws(Never) in
            true
        } failed: { (_) throws(Never) in
            heard.append(nil)
        } unread: { _ in
            fatalError("nobody stopped")
        }
        guard framing.pendingByteCount <= most else { fatalError("\(framing.pendingByteCount) bytes of \(most) kept") }
    }
    return heard
}
