// SPDX-License-Identifier: Apache-2.0

/// The arguments of one name in a text. A plugin takes those that it knows; what is left over is refused for it.
public struct PluginArguments: Sendable {
    /// What they are arguments of.
    public let name: String
    private var values: [(key: String, value: String)]
    private var known: [String] = []

    /// The arguments of a part.
    public init(_ part: PluginText.Part) {
        name = part.name
        values = part.arguments
    }

    /// The argument's text; nil when it was not given.
    public mutating func take(_ key: String) -> String? {
        known.append(key)
        guard let index = values.firstIndex(where: { $0.key == key }) else { return nil }
        return values.remove(at: index).value
    }

    /// As `take`, for one that has to be there.
    public mutating func require(_ key: String, as example: String) throws(PluginError) -> String {
        guard let value = take(key) else { throw PluginError("\(name) needs \(key), as \(name):\(key)=\(example)") }
        return value
    }

    /// A whole number; nil when it was not given.
    public mutating func takeInteger(_ key: String, in range: ClosedRange<Int>) throws(PluginError) -> Int? {
        guard let text = take(key) else { return nil }
        guard let number = Int(text), range.contains(number) else {
            throw PluginError(
                "\(name): \(key)=\(text) is not allowed; allowed is a whole number from \(range.lowerBound) to "
                    + "\(range.upperBound)"
            )
        }
        return number
    }

    /// Refuses what nobody took.
    func finish() throws(PluginError) {
        guard let left = values.first else { return }
        let takes = known.isEmpty ? "it takes no arguments" : "it takes \(known.joined(separator: ", "))"
        throw PluginError("\(name) does not know '\(left.key)', \(takes)\(NearName.hint(left.key, among: known))")
    }
}
