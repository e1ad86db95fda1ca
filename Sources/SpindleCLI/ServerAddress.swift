// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Spindle
import SpindleSystem

extension SocketAddress {
    /// Whether it is one of this machine's own: a socket can be bound to those alone.
    var isOfThisMachine: Bool {
        guard let probe = try? StreamSocket.open(for: self) else { return false }
        defer { probe.close() }
        do throws(Errno) { try probe.bind(to: with(port: 0)) } catch { return false }
        return true
    }
}

/// The value of --connect.
enum ServerAddress {
    /// An address and a port, as 127.0.0.1:7000, [::1]:7000 or localhost:7000.
    static func parse(_ text: String) throws -> SocketAddress {
        guard let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...]), port > 0 else {
            throw ValidationError(
                "--connect: '\(text)' is not allowed; allowed is an address and a port, as 127.0.0.1:7000"
            )
        }
        var host = String(text[..<colon])
        if host == "localhost" { host = "127.0.0.1" }
        if host.hasPrefix("["), host.hasSuffix("]") { host = String(host.dropFirst().dropLast()) }
        guard let address = SocketAddress(numericHost: host, port: port) else {
            throw ValidationError("--connect: '\(host)' is no numeric address; names are not looked up")
        }
        return address
    }
}
