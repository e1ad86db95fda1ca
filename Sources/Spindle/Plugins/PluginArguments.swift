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

    /// As `take`, or else the first argument without a key.
    public mutating func takeFirst(_ key: String) -> String? { take(key) ?? takeUnnamed() }

    /// The first argument without a key that nobody took; nil when there is none.
    public mutating func takeUnnamed() -> String? {
        guard let index = values.firstIndex(where: { $0.key.isEmpty }) else { return nil }
        return values.remove(at: index).value
    }

    /// As `takeFirst`, for one that has to be there.
    public mutating func require(_ key: String, as example: String) throws(PluginError) -> String {
        guard let value = takeFirst(key) else {
            throw PluginError("\(name) needs \(key), as \(name):\(key)=\(example)")
        }
        return value
    }

    /// A port, 0...65535.
    public mutating func requirePort() throws(PluginError) -> UInt16 {
        let text = try require("port", as: "7000")
        guard let port = UInt16(text) else {
            throw PluginError("\(name): port=\(text) is not allowed; allowed is a number from 0 to 65535")
        }
        return port
    }

    /// A time, as 5s or 250ms; nil when it was not given.
    public mutating func takeDuration(_ key: String) throws(PluginError) -> Duration? {
        guard let text = take(key) else { return nil }
        guard let duration = TimeText.parse(text), duration > .zero else {
            throw PluginError("\(name): \(key)=\(text) is not allowed; allowed is a time, as 5s or 250ms")
        }
        return duration
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

    /// A size in bytes, as 512, 64KiB or 1MiB; nil when it was not given.
    public mutating func takeBytes(_ key: String, in range: ClosedRange<Int>) throws(PluginError) -> Int? {
        guard let text = take(key) else { return nil }
        guard let bytes = ByteSize.parse(text), range.contains(bytes) else {
            throw PluginError(
                "\(name): \(key)=\(text) is not allowed; allowed is a size from \(ByteSize.text(range.lowerBound)) to "
                    + "\(ByteSize.text(range.upperBound)), as 64KiB"
            )
        }
        return bytes
    }

    /// Refuses what nobody took.
    func finish() throws(PluginError) {
        guard let left = values.first else { return }
        guard !left.key.isEmpty else {
            throw PluginError("\(name) does not know what '\(left.value)' is; write it behind a name and a =")
        }
        let takes = known.isEmpty ? "it takes no arguments" : "it takes \(known.joined(separator: ", "))"
        throw PluginError("\(name) does not know '\(left.key)', \(takes)\(NearName.hint(left.key, among: known))")
    }
}
