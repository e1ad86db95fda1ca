// SPDX-License-Identifier: Apache-2.0

import Spindle

/// Greets everybody who says a name in a line; who says nothing for 30 seconds is let go.
final class Greeter: StreamProtocol {
    let transport: any StreamTransport
    private var name: [UInt8] = []

    init(_ transport: any StreamTransport) { self.transport = transport }

    func connectionMade() {
        transport.write("Who is there?\n")
        transport.setIdleTimeout(.seconds(30))
    }

    func dataReceived(_ bytes: Span<UInt8>) {
        for index in bytes.indices {
            if bytes[index] == UInt8(ascii: "\n") {
                transport.write("Hello, \(String(decoding: name, as: UTF8.self))!\n")
                name = []
            } else {
                name.append(bytes[index])
            }
        }
        if name.count > 100 { transport.abortConnection() }
    }
}
