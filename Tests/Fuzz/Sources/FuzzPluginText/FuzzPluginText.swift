// SPDX-License-Identifier: Apache-2.0

import FuzzDriver
import Spindle

/// Any text is taken apart or refused, and what was taken apart is the same when it is written out and read again.
@main
enum FuzzPluginText {
    static func main() { fuzz(check) }

    private static func check(_ input: [UInt8]) {
        let text = String(decoding: input, as: UTF8.self)
        let registry = PluginRegistry()
        _ = try? registry.makeEndpoint(text)
        _ = try? registry.makeRoute(text)
        guard let parsed = try? PluginText(parsing: text) else { return }
        guard let again = try? PluginText(parsing: parsed.description), again == parsed else {
            fatalError("\(text) is \(parsed), which is read as something else")
        }
    }
}
