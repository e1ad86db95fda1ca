// SPDX-License-Identifier: Apache-2.0

internal import SpindleCore
internal import SpindleReactor
internal import SpindleSystem

/// `tcp:port=7000`, `tcp:port=7000:interface=127.0.0.1`, `tcp:port=7000:interface=eth0`. tcp(7).
enum TCPEndpoint {
    static let summary = "tcp:port=PORT[:interface=ADDRESS-OR-NAME]"

    /// An address and its options; with the name of an interface every address of it (SO_BINDTODEVICE).
    static func make(_ arguments: inout PluginArguments) throws -> PluginRegistry.Listen {
        let text = try arguments.require("port", as: "7000")
        guard let port = UInt16(text) else {
            throw PluginError("tcp: port=\(text) is not allowed; allowed is a number from 0 to 65535")
        }
        var options = ListenOptions()
        var address = SocketAddress.any(port: port)
        if let interface = arguments.take("interface") {
            if let numeric = SocketAddress(numericHost: interface, port: port) {
                address = numeric
            } else {
                guard !interface.isEmpty else { throw PluginError("tcp: interface is empty; leave it out") }
                options.interface = interface
            }
        }
        return { [address, options] engine, build in try engine.listen(on: address, options: options, build) }
    }
}
