// SPDX-License-Identifier: Apache-2.0

import Glibc

/// A name, then pairs of a flag and a whole number.
struct Arguments: Sendable {
    let name: String
    private var values: [String: Int] = [:]

    init(_ words: some Sequence<String>) {
        var words = Array(words)
        name = words.isEmpty ? "" : words.removeFirst()
        while !words.isEmpty {
            let flag = words.removeFirst()
            guard flag.hasPrefix("--"), let text = words.first, let value = Int(text), value > 0 else {
                Arguments.refuse("\(flag): expected a flag and a number above 0, as --messages 1000")
            }
            values[String(flag.dropFirst(2))] = value
            words.removeFirst()
        }
    }

    /// The flag's value. Repeatable: measured runs differ in it.
    func number(_ flag: String, default value: Int) -> Int { values[flag] ?? value }

    /// To standard error, whose C variable Swift 6 refuses.
    static func complain(_ message: String) {
        let line = Array("Micro: \(message)\n".utf8)
        _ = line.withUnsafeBytes { write(2, $0.baseAddress, $0.count) }
    }

    static func fail(_ message: String) -> Never {
        complain(message)
        exit(1)
    }

    static func refuse(_ message: String) -> Never {
        complain(message)
        exit(64)
    }
}
