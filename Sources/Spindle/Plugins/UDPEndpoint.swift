// SPDX-License-Identifier: Apache-2.0

internal import SpindleCore
internal import SpindleReactor
internal import SpindleSystem

/// `udp:port=7000`, `udp:7000:interface=127.0.0.1`, `udp:7000:reply-limit=none`. udp(7).
enum UDPEndpoint {
    static let summary =
        "udp:port=PORT[:interface=ADDRESS-OR-NAME][:reply-limit=TIMES][:send-buffer=SIZE][:receive-buffer=SIZE]"
        + "[:mark=N][:dscp=N]"

    static func make(_ arguments: inout PluginArguments) throws -> PluginRegistry.ListenUDP {
        let port = try arguments.requirePort()
        var options = DatagramOptions()
        let (address, interface) = try arguments.takeInterface(port: port)
        options.interface = interface
        if let limit = arguments.take("reply-limit") {
            guard let times = Int(limit) ?? (limit == "none" ? 0 : nil), limit == "none" || (1...65_507).contains(times)
            else {
                throw PluginError(
                    "udp: reply-limit=\(limit) is not allowed; allowed is a number from 1 to 65507, or none: answers "
                        + "have at most so many times the bytes of what they answer"
                )
            }
            options.replyLimit = limit == "none" ? nil : times
        }
        options.settings = try arguments.takeDatagramSettings()
        return { [address, options] engine, build in try engine.listenUDP(on: address, options: options, build) }
    }
}
