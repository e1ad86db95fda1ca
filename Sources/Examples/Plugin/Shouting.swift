// SPDX-License-Identifier: Apache-2.0

import Spindle

/// Adds a protocol, `greet`, and a wrapper around any protocol, `shout`.
struct ShoutingPlugin: Plugin {
    func register(in registry: inout PluginRegistry) throws {
        try registry.register(protocol: "greet", summary: "Greets and closes; greet:name=NAME.") { arguments in
            let name = arguments.take("name") ?? "you"
            return { Greeting($0, name) }
        }
        try registry.register(wrapper: "shout", summary: "Sends everything in capitals.") { _ in { Shouting($0) } }
    }
}

final class Greeting: StreamProtocol {
    let transport: any StreamTransport
    private let name: String
    init(_ transport: any StreamTransport, _ name: String) { (self.transport, self.name) = (transport, name) }
    func connectionMade() {
        transport.write("hello, \(name)\n")
        transport.loseConnection()
    }
    func dataReceived(_ bytes: Span<UInt8>) {}
}

final class Shouting: StreamWrapper {
    let transport: any StreamTransport
    var inner: (any StreamProtocol)?
    init(_ transport: any StreamTransport) { self.transport = transport }
    func write(_ bytes: Span<UInt8>) {
        transport.write(bytes.indices.map { (97...122).contains(bytes[$0]) ? bytes[$0] - 32 : bytes[$0] })
    }
}
