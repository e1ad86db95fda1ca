// SPDX-License-Identifier: Apache-2.0

import Spindle

/// Sends back what comes in.
final class EchoProtocol: StreamProtocol {
    let transport: any StreamTransport
    init(_ transport: any StreamTransport) { self.transport = transport }
    func dataReceived(_ bytes: Span<UInt8>) { transport.write(bytes) }
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
    private var line = 0
    private var isPaused = false

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
        send()
    }

    func writeDrained() { send() }

    /// One full cycle at a time: the socket takes it, or the watermarks say when to go on.
    private func send() {
        guard !isPaused, let reactor = Reactor.current else { return }
        transport.write(ChargenProtocol.lines)
        // A socket that takes everything at once never waits, so nothing would call back.
        if transport.bufferedByteCount == 0 { reactor.callSoon { [self] in if transport.isWritable { send() } } }
    }
}
