// SPDX-License-Identifier: Apache-2.0

import SpindleCore
import Testing

/// The callbacks of a protocol, and the factory's, as tests name them.
enum Callback: String, CaseIterable, Sendable {
    case build, made, data, readEnd, writeEnd, highWatermark, lowWatermark, drained, idle, lost
}

/// What a scripted callback throws.
struct Planned: Error, CustomStringConvertible {
    let callback: Callback
    var description: String { "planned in \(callback.rawValue)" }
}

/// Counts how deep callbacks are nested: the contract says never deeper than one.
final class CallbackDepth {
    private(set) var depth = 0
    private(set) var deepest = 0

    func enter<Result>(_ body: () throws -> Result) rethrows -> Result {
        depth += 1
        deepest = max(deepest, depth)
        defer { depth -= 1 }
        return try body()
    }
}

/// A protocol that writes down what happens to it and does in each callback what the test's script says.
final class TestProtocol: StreamProtocol {
    typealias Failure = any Error
    typealias Script = (TestProtocol, Callback) throws -> Void

    let transport: any StreamTransport
    private let script: Script
    private let depth: CallbackDepth
    /// What `readConnectionLost` and `idleTimeoutExpired` do by default is left out.
    var overridesDefaults = false
    /// Called with the bytes themselves.
    var onBytes: ((TestProtocol, Span<UInt8>) throws -> Void)?

    private(set) var callbacks: [Callback] = []
    private(set) var received: [UInt8] = []
    /// The lengths of the pieces that came.
    private(set) var pieces: [Int] = []
    private(set) var reason: DisconnectReason?

    init(_ transport: any StreamTransport, depth: CallbackDepth, script: @escaping Script) {
        self.transport = transport
        self.depth = depth
        self.script = script
    }

    /// The reason as text; empty before the end.
    var reasonText: String { reason.map { "\($0)" } ?? "" }

    var isLost: Bool { callbacks.contains(.lost) }

    private func note(_ callback: Callback) throws {
        callbacks.append(callback)
        try depth.enter { try script(self, callback) }
    }

    func connectionMade() throws { try note(.made) }

    func dataReceived(_ bytes: Span<UInt8>) throws {
        pieces.append(bytes.count)
        for index in bytes.indices { received.append(bytes[index]) }
        if let onBytes {
            callbacks.append(.data)
            try onBytes(self, bytes)
        } else {
            try note(.data)
        }
    }

    func readConnectionLost() throws {
        try note(.readEnd)
        if !overridesDefaults { transport.loseConnection() }
    }

    func writeConnectionLost() throws { try note(.writeEnd) }
    func highWatermarkReached() throws { try note(.highWatermark) }
    func lowWatermarkReached() throws { try note(.lowWatermark) }
    func writeDrained() throws { try note(.drained) }

    func idleTimeoutExpired() throws {
        try note(.idle)
        if !overridesDefaults { transport.loseConnection() }
    }

    func connectionLost(_ reason: DisconnectReason) throws {
        self.reason = reason
        try note(.lost)
    }

    /// How often the callback came.
    func count(_ callback: Callback) -> Int { callbacks.count { $0 == callback } }
}
