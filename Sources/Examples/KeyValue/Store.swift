// SPDX-License-Identifier: Apache-2.0

/// The keys of one core.
final class Store {
    private var values: [Substring: Substring] = [:]

    /// Does what one line asks for: `get KEY`, `set KEY VALUE`, `del KEY`.
    func answer(_ line: String) -> String {
        let words = line.split(separator: " ", maxSplits: 2)
        switch (words.first, words.count) {
        case ("get", 2): return values[words[1]].map { "= \($0)\n" } ?? "none\n"
        case ("set", 3):
            values[words[1]] = words[2]
            return "ok\n"
        case ("del", 2): return values.removeValue(forKey: words[1]) == nil ? "none\n" : "ok\n"
        default: return "error: get KEY, set KEY VALUE or del KEY\n"
        }
    }

    /// What decides where a line belongs; lines without a key may go anywhere.
    static func key(of line: String) -> Substring {
        line.split(separator: " ", maxSplits: 2).dropFirst().first ?? ""
    }
}
