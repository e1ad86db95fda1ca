// SPDX-License-Identifier: Apache-2.0

import SpindleCore
import SpindleProtocols
import SpindleTesting

/// Writes down what a stream was taken apart into, and does what a test's script says.
final class FrameCollector<Format: FrameFormat>: FramedProtocol {
    typealias Failure = any Error
    let transport: any StreamTransport
    let framing: Framing<Format>
    /// Contents of frames; raw pieces behind a `~`; failures behind a `!`.
    private(set) var heard: [String] = []
    var onFrame: ((FrameCollector, String) throws -> Void)?
    var onRaw: ((FrameCollector, String) throws -> Void)?
    var onFailure: ((FrameCollector) -> Void)?
    private(set) var deepest = 0
    private var depth = 0

    init(_ transport: any StreamTransport, _ format: Format) {
        self.transport = transport
        framing = Framing(format)
    }

    func frameReceived(_ frame: Span<UInt8>) throws {
        depth += 1
        deepest = max(deepest, depth)
        defer { depth -= 1 }
        let text = ByteChunk(copying: frame).text
        heard.append(text)
        try onFrame?(self, text)
    }

    func rawDataReceived(_ bytes: Span<UInt8>) throws {
        let text = ByteChunk(copying: bytes).text
        // Pieces are cut by the network: what lies side by side is told as one.
        if let last = heard.last, last.hasPrefix("~") {
            heard[heard.count - 1] = last + text
        } else {
            heard.append("~" + text)
        }
        try onRaw?(self, text)
    }

    func framingFailed(_ error: FramingError) throws {
        heard.append("!\(error.kind)")
        guard let onFailure else { return transport.loseConnection() }
        onFailure(self)
    }
}

/// A connection whose protocol is a collector.
struct CollectorTest<Format: FrameFormat> {
    let connection: ScriptedConnection
    let collector: FrameCollector<Format>

    init(
        _ format: Format,
        _ configuration: ReactorConfiguration = ReactorConfiguration(),
        _ script: ((FrameCollector<Format>) -> Void)? = nil
    ) {
        var made: FrameCollector<Format>?
        connection = ScriptedConnection(configuration) {
            let collector = FrameCollector($0, format)
            script?(collector)
            made = collector
            return collector
        }
        collector = made!
    }

    var heard: [String] { collector.heard }
}

/// What a format makes of a text that is cut in a way: without any connection.
func takenApart<Format: FrameFormat>(_ bytes: [UInt8], _ format: Format, _ cut: Cut) -> [String] {
    let framing = Framing(format)
    var heard: [String] = []
    for piece in cut.pieces(of: bytes) {
        framing.take(piece.span) { (frame) throws(Never) in
            heard.append(ByteChunk(copying: frame).text)
            return true
        } raw: { (_) throws(Never) in
            true
        } failed: { (error) throws(Never) in
            heard.append("!\(error.kind)")
        } unread: { _ in
        }
    }
    return heard
}
