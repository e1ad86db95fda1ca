// SPDX-License-Identifier: Apache-2.0

internal import SpindleSimulation

/// How a test cuts bytes before it feeds them to a protocol: a network may cut them anywhere.
public enum Cut: Sendable, Equatable {
    /// As they are.
    case whole
    /// Into pieces of so many bytes, at least 1; the last may be shorter.
    case every(Int)
    /// Before each of these offsets, ascending.
    case at([Int])
    /// At random, as drawn from a seed: pieces of 1 to 16 bytes.
    case random(seed: UInt64)

    /// The pieces, none of them empty.
    public func pieces(of bytes: [UInt8]) -> [[UInt8]] {
        var pieces: [[UInt8]] = []
        var start = 0
        for end in offsets(in: bytes.count) + [bytes.count] where end > start && end <= bytes.count {
            pieces.append(Array(bytes[start..<end]))
            start = end
        }
        return pieces
    }

    private func offsets(in count: Int) -> [Int] {
        switch self {
        case .whole: return []
        case .every(let length): return Array(stride(from: length, to: max(count, length), by: length))
        case .at(let offsets): return offsets
        case .random(let seed):
            var random = SeededRandom(seed: seed)
            var offsets: [Int] = []
            var offset = 0
            while offset < count {
                offset += 1 + random.below(16)
                offsets.append(offset)
            }
            return offsets
        }
    }

    /// Every way of cutting `count` bytes, at most 20 (2 to the power of `count` - 1 ways): for short inputs, where a
    /// decoder has to give the same messages for each.
    public static func all(of count: Int) -> [Cut] {
        precondition(count <= 20, "\(count) bytes can be cut in too many ways")
        guard count > 1 else { return [.whole] }
        return (0..<1 << (count - 1)).map { bits in
            .at((1..<count).filter { bits >> ($0 - 1) & 1 == 1 })
        }
    }
}
