// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Spindle
import SpindleSystem

/// Where to listen, as text: `tcp:port=7000`, `tcp:port=7000:interface=127.0.0.1`, `tcp:port=7000:interface=eth0`.
struct ListenFlag: ExpressibleByArgument, Equatable {
    static let form = "tcp:port=PORT[:interface=ADDRESS-OR-NAME]"
    let address: SocketAddress
    let device: String?

    init?(argument: String) {
        // A backslash takes the colon after it for a part of the value, as an IPv6 address needs.
        var fields = [""]
        var isEscaped = false
        for character in argument {
            switch character {
            case "\\" where !isEscaped: isEscaped = true
            case ":" where !isEscaped: fields.append("")
            default:
                fields[fields.count - 1].append(character)
                isEscaped = false
            }
        }
        guard fields.removeFirst() == "tcp" else { return nil }
        var values: [Substring: String] = [:]
        for field in fields {
            let pair = field.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard pair.count == 2, values.updateValue(String(pair[1]), forKey: pair[0]) == nil else { return nil }
        }
        guard let text = values.removeValue(forKey: "port"), let port = UInt16(text) else { return nil }
        let interface = values.removeValue(forKey: "interface")
        guard values.isEmpty else { return nil }
        if let interface, let address = SocketAddress(numericHost: interface, port: port) {
            self.address = address
            device = nil
        } else {
            guard interface != "" else { return nil }
            address = .any(port: port)
            device = interface
        }
    }
}
