// SPDX-License-Identifier: Apache-2.0

internal import SpindleCore
internal import SpindleReactor
internal import SpindleSystem

/// `unix:/run/x.sock`, `unix:/run/x.sock:mode=660`, `unix:@abstract`. unix(7).
enum UnixEndpoint {
    static let summary = "unix:PATH[:mode=OCTAL]"
    static let targetSummary = "unix:PATH[:timeout=TIME]"

    static func make(_ arguments: inout PluginArguments) throws -> PluginRegistry.Listen {
        let address = try address(&arguments)
        var options = ListenOptions()
        if let text = arguments.take("mode") {
            guard !address.host.hasPrefix("@") else {
                throw PluginError("unix: mode=\(text) is not allowed: an abstract name has no file")
            }
            guard let mode = UInt32(text, radix: 8), mode <= 0o777 else {
                throw PluginError("unix: mode=\(text) is not allowed; allowed is an octal number up to 777, as 660")
            }
            options.unixMode = mode
        }
        return { [options] engine, build in try engine.listen(on: address, options: options, build) }
    }

    static func makeRoute(_ arguments: inout PluginArguments) throws -> ConnectRoute {
        let address = try address(&arguments)
        var options = ConnectOptions()
        if let timeout = try arguments.takeDuration("timeout") { options.timeout = timeout }
        return ConnectRoute(target: .address(address), options: options)
    }

    private static func address(_ arguments: inout PluginArguments) throws(PluginError) -> SocketAddress {
        let path = try arguments.require("path", as: "/run/x.sock")
        guard (1...SocketAddress.longestUnixName).contains(path.utf8.count), !path.utf8.contains(0), path != "@" else {
            throw PluginError(
                "unix: path=\(path) is not allowed; allowed are 1 to \(SocketAddress.longestUnixName) bytes, as "
                    + "/run/x.sock or @name"
            )
        }
        return .unix(path)
    }
}
