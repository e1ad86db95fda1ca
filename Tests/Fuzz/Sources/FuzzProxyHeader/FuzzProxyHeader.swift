// SPDX-License-Identifier: Apache-2.0

import FuzzDriver
import SpindleProtocols

/// Any bytes are read without a trap; what is a header with all of its bytes was incomplete with fewer, and what is
/// none stays none when more comes.
@main
enum FuzzProxyHeader {
    static func main() { fuzz(check) }

    private static func check(_ input: [UInt8]) {
        var bytes = input
        // Half of the inputs begin as version 2 does, which chance would hardly find.
        if let first = bytes.first, first & 1 == 1 {
            bytes = [13, 10, 13, 10, 0, 13, 10, 0x51, 0x55, 0x49, 0x54, 10] + bytes.dropFirst()
        }
        let whole = ProxyHeader.parse(bytes.span)
        for count in 0..<bytes.count {
            let part = ProxyHeader.parse(bytes.span.extracting(first: count))
            switch (part, whole) {
            case (.incomplete, _): break
            case (.malformed, .malformed): break
            case (.header(let first, let used), .header(let second, let usedInAll)):
                guard first == second, used == usedInAll, used <= count else { fatalError("\(part) became \(whole)") }
            default: fatalError("\(part) of \(count) bytes became \(whole) with all \(bytes.count)")
            }
        }
        if case .header(_, let used) = whole, used > bytes.count { fatalError("a header beyond the end") }
    }
}
