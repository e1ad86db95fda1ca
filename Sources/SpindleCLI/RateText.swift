// SPDX-License-Identifier: Apache-2.0

/// Messages a second as people write them.
enum RateText {
    /// The rate that `500`, `10k` or `1.5M` means, a number above 0; nil otherwise.
    static func parse(_ text: String) -> Double? {
        let digits = text.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
        guard let number = Double(digits), number > 0 else { return nil }
        switch text.dropFirst(digits.count) {
        case "": return number
        case "k", "K": return number * 1e3
        case "m", "M": return number * 1e6
        default: return nil
        }
    }

    /// The shortest form: `1.5M`, `10k`, `500`.
    static func text(_ rate: Double) -> String {
        func short(_ number: Double) -> String {
            number == number.rounded() ? "\(Int(number))" : "\((number * 1000).rounded() / 1000)"
        }
        if rate >= 1e6 { return short(rate / 1e6) + "M" }
        return rate >= 1e3 ? short(rate / 1e3) + "k" : short(rate)
    }
}
