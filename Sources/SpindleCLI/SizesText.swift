// SPDX-License-Identifier: Apache-2.0

import Spindle
import SpindleLoad

/// Sizes of messages as people write them: `64`, `64..4KiB`, or `64:9,16KiB:1`.
enum SizesText {
    static let allowed = "a size from 1 to 64MiB, a range as 64..4KiB, or sizes with weights as 64:9,16KiB:1"

    /// Nil for what is none of these.
    static func parse(_ text: String) -> MessageSizes? {
        if let dots = text.firstRange(of: "..") {
            guard let low = bytes(text[..<dots.lowerBound]), let high = bytes(text[dots.upperBound...]), low <= high
            else { return nil }
            return .uniform(low...high)
        }
        guard text.contains(":") else { return bytes(text[...]).map { .constant($0) } }
        var sizes: [MessageSizes.Weighted] = []
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            let pair = part.split(separator: ":", omittingEmptySubsequences: false)
            guard pair.count == 2, let bytes = bytes(pair[0]), let weight = Double(pair[1]), weight > 0, weight < 1e9
            else { return nil }
            sizes.append(.init(bytes: bytes, weight: weight))
        }
        return .weighted(sizes)
    }

    private static func bytes(_ text: Substring) -> Int? {
        ByteSize.parse(String(text)).flatMap { (1...(64 << 20)).contains($0) ? $0 : nil }
    }

    static func text(_ sizes: MessageSizes) -> String {
        switch sizes {
        case .constant(let bytes): ByteSize.text(bytes)
        case .uniform(let range): "\(ByteSize.text(range.lowerBound))..\(ByteSize.text(range.upperBound))"
        case .weighted(let sizes):
            sizes.map { "\(ByteSize.text($0.bytes)):\(RateText.text($0.weight))" }.joined(separator: ",")
        }
    }
}
