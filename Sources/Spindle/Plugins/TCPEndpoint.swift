// SPDX-License-Identifier: Apache-2.0

internal import SpindleCore
public import SpindleReactor
internal import SpindleSystem

/// `tcp:port=7000`, `tcp:7000:interface=127.0.0.1`, `tcp:7000:interface=eth0`; as a target `tcp:example.com:80`.
///
/// tcp(7).
enum TCPEndpoint {
    static let summary =
        "tcp:port=PORT[:interface=ADDRESS-OR-NAME][:fast-open=N][:defer-accept=TIME], and options of sockets"
    static let targetSummary =
        "tcp:host=HOST:port=PORT[:bind=ADDRESS][:timeout=TIME], and options of sockets"

    /// An address and its options; with the name of an interface every address of it (SO_BINDTODEVICE).
    static func make(_ arguments: inout PluginArguments) throws -> PluginRegistry.Listen {
        let port = try arguments.requirePort()
        var options = ListenOptions()
        let (address, interface) = try arguments.takeInterface(port: port)
        options.interface = interface
        options.settings = try arguments.takeSocketSettings()
        if let queue = try arguments.takeInteger("fast-open", in: 1...65_535) {
            options.settings.append(try arguments.setting(.fastOpen, queue, "fast-open"))
        }
        if let time = try arguments.takeDuration("defer-accept") {
            options.settings.append(try arguments.setting(.deferAccept, time, "defer-accept"))
        }
        return { [address, options] engine, build in try engine.listen(on: address, options: options, build) }
    }

    /// A host, which may be a name, and a port.
    static func makeRoute(_ arguments: inout PluginArguments) throws -> ConnectRoute {
        let host = try arguments.require("host", as: "example.com")
        guard !host.isEmpty else { throw PluginError("tcp: host is empty") }
        let port = try arguments.requirePort()
        guard port > 0 else { throw PluginError("tcp: port=0 is not allowed; nobody can be reached there") }
        var options = ConnectOptions()
        if let timeout = try arguments.takeDuration("timeout") { options.timeout = timeout }
        if let bind = arguments.take("bind") {
            guard let address = SocketAddress(numericHost: bind, port: 0) else {
                throw PluginError("tcp: bind=\(bind) is not allowed; allowed is a numeric address of this machine")
            }
            options.localAddress = address
        }
        options.settings = try arguments.takeSocketSettings()
        let numeric = SocketAddress(numericHost: host, port: port)
        return ConnectRoute(target: numeric.map { .address($0) } ?? .host(host, port: port), options: options)
    }
}

/// Where a text says to connect, and how.
public struct ConnectRoute: Sendable, Equatable {
    /// Where to.
    public let target: ConnectTarget
    /// How.
    public let options: ConnectOptions

    /// For targets of your own.
    public init(target: ConnectTarget, options: ConnectOptions = ConnectOptions()) {
        self.target = target
        self.options = options
    }
}
