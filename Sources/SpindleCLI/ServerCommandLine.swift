// SPDX-License-Identifier: Apache-2.0

/// A command that starts a server to be measured. `{port}` stands for the port where it is to listen, `{cores}` for how
/// many cores it is to use.
struct ServerCommandLine: Sendable, Equatable {
    let text: String

    static let allowed = "a command with {port} in it, as 'my-server --port {port} --threads {cores}'"

    /// Nil when it could not be told where to listen.
    init?(_ text: String) {
        guard text.contains("{port}") else { return nil }
        self.text = text
    }

    /// Whether the number of cores makes a difference to it.
    var hasCores: Bool { text.contains("{cores}") }

    func filled(port: UInt16, cores: Int) -> String {
        func filling(_ text: String, _ name: String, _ value: String) -> String {
            var (rest, result) = (text[...], "")
            while let start = rest.firstIndex(of: "{") {
                result += rest[..<start]
                rest = rest[start...]
                if rest.hasPrefix(name) {
                    result += value
                    rest = rest.dropFirst(name.count)
                } else {
                    result.append(rest.removeFirst())
                }
            }
            return result + rest
        }
        return filling(filling(text, "{port}", "\(port)"), "{cores}", "\(cores)")
    }
}
