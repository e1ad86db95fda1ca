// SPDX-License-Identifier: Apache-2.0

public import SpindleCore
internal import SpindleSystem

/// The header that a proxy puts before a connection's bytes, to say whose connection it is.
///
/// Source: "The PROXY protocol, versions 1 & 2", HAProxy Technologies, §2.1 and §2.2.
public struct ProxyHeader: Sendable, Equatable {
    /// The two ends as the proxy has them; nil when it does not say (`UNKNOWN`, `LOCAL`, a family that is none of
    /// ours): then those of the connection itself stand.
    public var ends: Ends?

    /// The ends of the connection to the proxy.
    public struct Ends: Sendable, Equatable {
        /// Who connected.
        public var source: SocketAddress
        /// To where.
        public var destination: SocketAddress

        /// Both ends.
        public init(source: SocketAddress, destination: SocketAddress) {
            self.source = source
            self.destination = destination
        }
    }

    /// A header that says nothing, or whose connection it is.
    public init(ends: Ends? = nil) { self.ends = ends }

    /// What some bytes are.
    public enum Parse: Sendable, Equatable {
        /// The beginning of a header.
        case incomplete
        /// A header of so many bytes.
        case header(ProxyHeader, byteCount: Int)
        /// None, with the reason.
        case malformed(String)
    }

    /// The longest header that is read. Version 1 has at most 107 bytes; of version 2, which may have 65,551, as much
    /// as fits into this with what it may say besides (TLVs), which is skipped.
    public static var longest: Int { 4096 }

    /// §2.2: what version 2 begins with.
    private static let signature: [UInt8] = [
        0x0D, 0x0A, 0x0D, 0x0A, 0x00, 0x0D, 0x0A, 0x51, 0x55, 0x49, 0x54, 0x0A,
    ]

    /// Looks for a header at the beginning of `bytes`, of either version.
    public static func parse(_ bytes: Span<UInt8>) -> Parse {
        guard !bytes.isEmpty else { return .incomplete }
        if bytes[0] == signature[0] { return parseBinary(bytes) }
        return parseText(bytes)
    }

    // MARK: Version 1

    private static var longestText: Int { 107 }

    private static func parseText(_ bytes: Span<UInt8>) -> Parse {
        let begin = Array("PROXY ".utf8)
        for index in 0..<min(begin.count, bytes.count) where bytes[index] != begin[index] {
            return .malformed("a connection does not begin with a PROXY header")
        }
        var end = 0
        while end < bytes.count, bytes[end] != UInt8(ascii: "\n") {
            end += 1
            guard end < longestText else { return .malformed("a PROXY header's line has no end") }
        }
        guard end < bytes.count else { return .incomplete }
        guard end > 0, bytes[end - 1] == UInt8(ascii: "\r") else {
            return .malformed("a PROXY header's line does not end with \\r\\n")
        }
        var text = ""
        for index in 0..<end - 1 {
            guard bytes[index] < 0x80 else { return .malformed("a PROXY header's line is no text") }
            text.unicodeScalars.append(Unicode.Scalar(bytes[index]))
        }
        let words = text.split(separator: " ", omittingEmptySubsequences: false).map(String.init)
        guard words.count > 1, words[1] != "UNKNOWN" else {
            return words.count > 1
                ? .header(ProxyHeader(), byteCount: end + 1) : .malformed("a PROXY header without a family")
        }
        guard words.count == 6, words[1] == "TCP4" || words[1] == "TCP6",
            let source = address(words[2], port: words[4], isIPv6: words[1] == "TCP6"),
            let destination = address(words[3], port: words[5], isIPv6: words[1] == "TCP6")
        else { return .malformed("a PROXY header with other than two addresses and two ports") }
        return .header(ProxyHeader(ends: Ends(source: source, destination: destination)), byteCount: end + 1)
    }

    private static func address(_ host: String, port: String, isIPv6: Bool) -> SocketAddress? {
        // Digits alone, without a zero before others: what some readers would take for another number.
        guard port.utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }),
            port == "0" || !port.hasPrefix("0"), let port = UInt16(port), !host.contains("%"),
            host.contains(":") == isIPv6
        else { return nil }
        return SocketAddress(numericHost: host, port: port)
    }

    // MARK: Version 2

    private static func parseBinary(_ bytes: Span<UInt8>) -> Parse {
        for index in 0..<min(signature.count, bytes.count) where bytes[index] != signature[index] {
            return .malformed("a connection does not begin with a PROXY header")
        }
        guard bytes.count >= 16 else { return .incomplete }
        let (version, command) = (bytes[12] >> 4, bytes[12] & 15)
        guard version == 2 else { return .malformed("a PROXY header of version \(version)") }
        guard command <= 1 else { return .malformed("a PROXY header with the command \(command)") }
        let length = Int(bytes[14]) << 8 | Int(bytes[15])
        guard 16 + length <= longest else { return .malformed("a PROXY header of \(16 + length) bytes") }
        guard bytes.count >= 16 + length else { return .incomplete }
        // LOCAL: the proxy's own connection, a health check say.
        guard command == 1 else { return .header(ProxyHeader(), byteCount: 16 + length) }
        let body = bytes.extracting(16..<16 + length)
        let ends: Ends?
        switch bytes[13] {
        case 0x11:  // TCP over IPv4
            guard length >= 12 else { return .malformed("a PROXY header without room for its addresses") }
            ends = Ends(source: ipv4(body, at: 0, port: 8), destination: ipv4(body, at: 4, port: 10))
        case 0x21:  // TCP over IPv6
            guard length >= 36 else { return .malformed("a PROXY header without room for its addresses") }
            ends = Ends(source: ipv6(body, at: 0, port: 32), destination: ipv6(body, at: 16, port: 34))
        case 0x31:  // Unix stream
            guard length >= 216 else { return .malformed("a PROXY header without room for its addresses") }
            ends = Ends(source: unix(body, at: 0), destination: unix(body, at: 108))
        case let family where family >> 4 > 3 || family & 15 > 2:
            return .malformed("a PROXY header with the family \(family >> 4) and the transport \(family & 15)")
        default: ends = nil
        }
        return .header(ProxyHeader(ends: ends), byteCount: 16 + length)
    }

    private static func number(_ bytes: Span<UInt8>, at offset: Int, byteCount: Int) -> UInt64 {
        (0..<byteCount).reduce(0) { $0 << 8 | UInt64(bytes[offset + $1]) }
    }

    private static func ipv4(_ bytes: Span<UInt8>, at offset: Int, port: Int) -> SocketAddress {
        .ipv4(
            UInt32(truncatingIfNeeded: number(bytes, at: offset, byteCount: 4)),
            port: UInt16(truncatingIfNeeded: number(bytes, at: port, byteCount: 2))
        )
    }

    private static func ipv6(_ bytes: Span<UInt8>, at offset: Int, port: Int) -> SocketAddress {
        let (high, low) = (number(bytes, at: offset, byteCount: 8), number(bytes, at: offset + 8, byteCount: 8))
        let port = UInt16(truncatingIfNeeded: number(bytes, at: port, byteCount: 2))
        // ::ffff:a.b.c.d is an IPv4 peer of a proxy that listens on both (RFC 4291 §2.5.5.2), and IPv4 here.
        if high == 0, low >> 32 == 0xFFFF { return .ipv4(UInt32(truncatingIfNeeded: low), port: port) }
        return .ipv6(high: high, low: low, port: port, scope: 0)
    }

    private static func unix(_ bytes: Span<UInt8>, at offset: Int) -> SocketAddress {
        let isAbstract = bytes[offset] == 0
        var name: [UInt8] = []
        for index in (isAbstract ? 1 : 0)..<108 {
            guard bytes[offset + index] != 0 else { break }
            name.append(bytes[offset + index])
        }
        let text = String(decoding: name, as: UTF8.self)
        return .unix(isAbstract && !name.isEmpty ? "@" + text : text)
    }
}
