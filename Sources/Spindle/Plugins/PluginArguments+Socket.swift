// SPDX-License-Identifier: Apache-2.0

public import SpindleCore
internal import SpindleSystem

extension PluginArguments {
    /// The options of sockets that endpoints and targets over TCP share, as `user-timeout=20s:dscp=46`: those that are
    /// there.
    public mutating func takeSocketSettings() throws(PluginError) -> [SocketSetting] {
        var settings: [SocketSetting] = []
        for (key, option) in PluginArguments.timeOptions {
            guard let value = try takeDuration(key) else { continue }
            settings.append(try setting(option, value, key))
        }
        for (key, option) in PluginArguments.sizeOptions {
            guard let value = try takeBytes(key, in: 1...(1 << 30)) else { continue }
            settings.append(try setting(option, value, key))
        }
        for (key, option, range) in PluginArguments.numberOptions {
            guard let value = try takeInteger(key, in: range) else { continue }
            settings.append(try setting(option, value, key))
        }
        // Who says when to probe wants to probe.
        if settings.contains(where: { $0.name == .keepAliveIdle }) {
            settings.append(try setting(.keepAlive, true, ""))
        }
        return settings
    }

    /// Those of them that a UDP socket has.
    mutating func takeDatagramSettings() throws(PluginError) -> [SocketSetting] {
        var settings: [SocketSetting] = []
        for (key, option) in PluginArguments.sizeOptions where key != "not-sent-low-watermark" {
            guard let value = try takeBytes(key, in: 1...(1 << 30)) else { continue }
            settings.append(try setting(option, value, key))
        }
        for (key, option, range) in PluginArguments.numberOptions where key != "keep-alive-count" {
            guard let value = try takeInteger(key, in: range) else { continue }
            settings.append(try setting(option, value, key))
        }
        return settings
    }

    /// Where to listen: an address; or the name of an interface, and every address of it (SO_BINDTODEVICE).
    mutating func takeInterface(
        port: UInt16
    ) throws(PluginError) -> (address: SocketAddress, interface: String?) {
        guard let interface = take("interface") else { return (.any(port: port), nil) }
        if let numeric = SocketAddress(numericHost: interface, port: port) { return (numeric, nil) }
        guard !interface.isEmpty else { throw PluginError("\(name): interface is empty; leave it out") }
        return (.any(port: port), interface)
    }

    /// The option with its value; an error when it can't have that.
    func setting<Value>(
        _ option: SocketOption<Value>,
        _ value: Value,
        _ key: String
    ) throws(PluginError) -> SocketSetting {
        guard let setting = SocketSetting(option, value) else {
            throw PluginError("\(name): \(key) can't be \(value); \(option.name.rawValue) has a narrower range")
        }
        return setting
    }

    private static var timeOptions: [(String, SocketOption<Duration>)] {
        [("keep-alive", .keepAliveIdle), ("keep-alive-interval", .keepAliveInterval), ("user-timeout", .userTimeout)]
    }

    private static var sizeOptions: [(String, SocketOption<Int>)] {
        [
            ("send-buffer", .sendBuffer), ("receive-buffer", .receiveBuffer),
            ("not-sent-low-watermark", .notSentLowWatermark),
        ]
    }

    private static var numberOptions: [(String, SocketOption<Int>, ClosedRange<Int>)] {
        [
            ("keep-alive-count", .keepAliveCount, 1...127), ("mark", .mark, 0...Int(Int32.max)),
            ("dscp", .dscp, 0...63),
        ]
    }
}
