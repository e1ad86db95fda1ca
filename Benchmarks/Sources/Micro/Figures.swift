// SPDX-License-Identifier: Apache-2.0

/// What a benchmark found: names and numbers, in order.
struct Figures: Sendable, ExpressibleByDictionaryLiteral {
    private let figures: [(name: String, value: Double)]

    init(dictionaryLiteral elements: (String, Double)...) { figures = elements.map { ($0, $1) } }

    var json: String {
        "{" + figures.map { "\"\($0.name)\": \($0.value)" }.joined(separator: ", ") + "}"
    }

    /// The value below which `share` of the ascending values lie.
    static func quantile(_ share: Double, of sorted: [UInt64]) -> Double {
        Double(sorted[min(sorted.count - 1, Int(Double(sorted.count) * share))])
    }
}
