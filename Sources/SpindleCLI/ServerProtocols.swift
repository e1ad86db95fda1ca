// SPDX-License-Identifier: Apache-2.0

import Spindle
import SpindleProtocols

/// The protocols that the command itself has.
struct StandardProtocols: Plugin {
    func register(in registry: inout PluginRegistry) throws {
        try registry.register(protocol: "echo", summary: "Sends back what it receives (RFC 862).") { _ in
            { EchoProtocol($0) }
        }
        try registry.register(protocol: "discard", summary: "Drops what it receives (RFC 863).") { _ in
            { DiscardProtocol($0) }
        }
        try registry.register(protocol: "chargen", summary: "Sends characters (RFC 864).") { _ in
            { ChargenProtocol($0) }
        }
        try registry.register(protocol: "daytime", summary: "Says what time it is (RFC 867).") { _ in { Daytime($0) } }
        try registry.register(datagrams: "echo", summary: "Sends back what it receives (RFC 862).") { _ in
            { DatagramEcho($0) }
        }
        try registry.register(datagrams: "discard", summary: "Drops what it receives (RFC 863).") { _ in
            { DatagramDiscard($0) }
        }
        let targets = registry
        try registry.register(protocol: "forward", summary: "Passes connections on: forward:to=TARGET.") { arguments in
            let route = try targets.makeRoute(arguments.require("to", as: #"tcp\:example.com\:80"#))
            return { Forwarder($0, to: route.target, options: route.options) }
        }
    }
}

/// Sends back what comes in.
final class EchoProtocol: StreamProtocol {
    let transport: any StreamTransport
    init(_ transport: any StreamTransport) { self.transport = transport }
    func dataReceived(_ bytes: Span<UInt8>) { transport.write(bytes) }
}

/// Sends back what comes in, as it came: a run of datagrams as one.
final class DatagramEcho: DatagramRunProtocol {
    let transport: any DatagramTransport
    init(_ transport: any DatagramTransport) { self.transport = transport }
    func datagramReceived(_ bytes: Span<UInt8>, from origin: DatagramOrigin) { transport.reply(bytes) }
    func datagramsReceived(_ run: Span<UInt8>, each segmentBytes: Int, from origin: DatagramOrigin) {
        transport.reply(run, each: segmentBytes)
    }
}

/// Drops what comes in.
final class DatagramDiscard: DatagramProtocol {
    let transport: any DatagramTransport
    init(_ transport: any DatagramTransport) { self.transport = transport }
    func datagramReceived(_ bytes: Span<UInt8>, from origin: DatagramOrigin) {}
}

/// Drops what comes in.
final class DiscardProtocol: StreamProtocol {
    let transport: any StreamTransport
    init(_ transport: any StreamTransport) { self.transport = transport }
    func dataReceived(_ bytes: Span<UInt8>) {}
}

/// Sends lines of 72 characters, as many as the client takes: paused by the high watermark, resumed by the low one.
final class ChargenProtocol: StreamProtocol {
    let transport: any StreamTransport
    private var isPaused = false
    private var isScheduled = false

    init(_ transport: any StreamTransport) { self.transport = transport }

    /// RFC 864's recommended pattern: line n begins with printable character n, of 95.
    static func line(_ number: Int) -> [UInt8] {
        (0..<72).map { UInt8(32 + (number + $0) % 95) } + [13, 10]
    }

    /// The 95 different lines, one after the other.
    private static let lines = (0..<95).flatMap { line($0) }

    func connectionMade() { send() }

    func dataReceived(_ bytes: Span<UInt8>) {}

    func highWatermarkReached() { isPaused = true }

    func lowWatermarkReached() {
        isPaused = false
        scheduleNext()
    }

    /// One full cycle a turn, for as long as the watermarks allow.
    private func send() {
        transport.write(ChargenProtocol.lines)
        scheduleNext()
    }

    private func scheduleNext() {
        guard !isScheduled, let reactor = Reactor.current else { return }
        isScheduled = true
        reactor.callSoon { [self] in
            isScheduled = false
            if transport.isWritable, !isPaused { send() }
        }
    }
}
