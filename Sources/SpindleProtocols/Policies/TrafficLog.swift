// SPDX-License-Identifier: Apache-2.0

public import SpindleCore

/// Writes down what goes in and out of a connection, as a hex dump: for debugging.
///
///     reactor 0 connection 7 127.0.0.1:50000: received 6 bytes from offset 0
///     00000000  68 65 6c 6c 6f 0a                                 |hello.|
public final class TrafficLog: StreamWrapper {
    /// The connection.
    public let transport: any StreamTransport
    /// The protocol that it is the traffic of.
    public var inner: (any StreamProtocol)?
    private let limitBytes: Int
    private let write: @Sendable (String) -> Void
    private var received = 0
    private var sent = 0

    /// - Parameters:
    ///   - transport: The connection.
    ///   - limitBytes: Of each piece so many bytes are shown at most; of the rest the number is told.
    ///   - write: Gets each entry, several lines without an end; on the reactor's thread.
    public init(
        _ transport: any StreamTransport,
        limitBytes: Int = 256,
        _ write: @escaping @Sendable (String) -> Void
    ) {
        precondition(limitBytes >= 0, "\(limitBytes) bytes")
        self.transport = transport
        self.limitBytes = limitBytes
        self.write = write
    }

    /// Written down and handed on.
    public func connectionMade() throws {
        note("connected to \(localAddress)")
        try inner?.connectionMade()
    }

    /// Written down and handed on.
    public func dataReceived(_ bytes: Span<UInt8>) throws {
        note("received", bytes, &received)
        if let error = inner?._deliver(bytes) { throw error }
    }

    /// Written down and handed on.
    public func write(_ bytes: Span<UInt8>) {
        if transport.isWritable { note("sent", bytes, &sent) }
        transport.write(bytes)
    }

    /// Its length is written down, and it is handed on.
    public func write(_ file: FileRegion) {
        if transport.isWritable {
            note("sent \(file.count) bytes of a file from offset \(sent)")
            sent += file.count
        }
        transport.write(file)
    }

    /// Taken back: they come again.
    public func unread(_ bytes: Span<UInt8>) {
        received -= bytes.count
        transport.unread(bytes)
    }

    /// Written down and handed on.
    public func readConnectionLost() throws {
        note("the peer has ended its half")
        try inner?.readConnectionLost()
    }

    /// Written down and handed on.
    public func connectionLost(_ reason: DisconnectReason) throws {
        defer { inner = nil }
        note("ended: \(reason)")
        try inner?.connectionLost(reason)
    }

    private func note(_ what: String, _ bytes: Span<UInt8>, _ offset: inout Int) {
        let shown = min(bytes.count, limitBytes)
        var text = "\(what) \(bytes.count) bytes from offset \(offset)"
        text += HexDump.text(of: bytes.extracting(first: shown), from: offset)
        if shown < bytes.count { text += "\n… and \(bytes.count - shown) more" }
        offset += bytes.count
        note(text)
    }

    private func note(_ text: String) { write("connection \(connectionNumber) \(peerAddress): \(text)") }
}

/// Bytes as people read them: 16 to a line, with their offset, and as text where they are ASCII. As `hexdump -C` does.
public enum HexDump {
    /// Each line with a line feed before it; nothing for no bytes. The first byte's offset is called `offset`.
    public static func text(of bytes: Span<UInt8>, from offset: Int = 0) -> String {
        var text = ""
        for start in stride(from: 0, to: bytes.count, by: 16) {
            let line = bytes.extracting(start..<min(start + 16, bytes.count))
            text += "\n\(hex(offset + start, 8)) "
            var letters = ""
            for index in 0..<16 {
                if index == 8 { text += " " }
                guard index < line.count else {
                    text += "   "
                    continue
                }
                text += " " + hex(Int(line[index]), 2)
                letters.unicodeScalars.append((0x20..<0x7F).contains(line[index]) ? Unicode.Scalar(line[index]) : ".")
            }
            text += "  |\(letters)|"
        }
        return text
    }

    private static func hex(_ number: Int, _ width: Int) -> String {
        let digits = String(number, radix: 16)
        return String(repeating: "0", count: max(0, width - digits.count)) + digits
    }
}
