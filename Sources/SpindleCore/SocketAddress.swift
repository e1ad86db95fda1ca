// SPDX-License-Identifier: Apache-2.0

/// A numeric network address with its port, or the name of a Unix socket.
///
/// IPv4 peers of a dual-stack listener appear as IPv4, not as mapped IPv6.
public enum SocketAddress: Sendable, Hashable {
    /// An IPv4 address in host order (127.0.0.1 is 0x7f000001), and a port.
    case ipv4(UInt32, port: UInt16)
    /// An IPv6 address as its two halves in host order, a port, and the scope (interface index, 0 for none).
    case ipv6(high: UInt64, low: UInt64, port: UInt16, scope: UInt32)
    /// A Unix socket: the path of its file, an abstract name behind `@` (for a file of such a name write `./@x`), or
    /// nothing, as most clients' sockets have no name. At most 107 bytes. unix(7).
    case unix(String)

    /// 127.0.0.1.
    public static func loopback(port: UInt16) -> SocketAddress { .ipv4(0x7f00_0001, port: port) }
    /// ::1.
    public static func loopback6(port: UInt16) -> SocketAddress { .ipv6(high: 0, low: 1, port: port, scope: 0) }
    /// 0.0.0.0: every IPv4 address of this machine.
    public static func anyIPv4(port: UInt16) -> SocketAddress { .ipv4(0, port: port) }
    /// `::`, every address of this machine: with dual stack, IPv4 too.
    public static func any(port: UInt16) -> SocketAddress { .ipv6(high: 0, low: 0, port: port, scope: 0) }

    /// The port, 0...65535; 0 asks the kernel to choose one. Unix sockets have none: 0.
    public var port: UInt16 {
        switch self {
        case .ipv4(_, let port): port
        case .ipv6(_, _, let port, _): port
        case .unix: 0
        }
    }

    /// The same host with another port; a Unix socket stays as it is.
    public func with(port: UInt16) -> SocketAddress {
        switch self {
        case .ipv4(let host, _): .ipv4(host, port: port)
        case .ipv6(let high, let low, _, let scope): .ipv6(high: high, low: low, port: port, scope: scope)
        case .unix: self
        }
    }

    /// True for 0.0.0.0 and `::`.
    public var isWildcard: Bool {
        switch self {
        case .ipv4(let host, _): host == 0
        case .ipv6(let high, let low, _, _): high == 0 && low == 0
        case .unix: false
        }
    }

    /// True for a Unix socket.
    public var isUnix: Bool { if case .unix = self { true } else { false } }

    /// The host alone: `127.0.0.1`, `fe80::1%2`; a Unix socket's name.
    public var host: String {
        switch self {
        case .ipv4(let host, _): SocketAddress.dotted(host)
        case .ipv6(let high, let low, _, let scope):
            SocketAddress.colons(high: high, low: low) + (scope == 0 ? "" : "%\(scope)")
        case .unix(let name): name
        }
    }

    private static func dotted(_ host: UInt32) -> String {
        "\(host >> 24).\(host >> 16 & 255).\(host >> 8 & 255).\(host & 255)"
    }

    /// RFC 5952: lower-case hexadecimal, the first longest run of two or more zero groups shortened to `::`.
    private static func colons(high: UInt64, low: UInt64) -> String {
        let groups = (0..<8).map { index in
            UInt16(truncatingIfNeeded: (index < 4 ? high : low) >> UInt64(48 - index % 4 * 16))
        }
        var longest = 0..<0
        var start = 0
        while start < 8 {
            var end = start
            while end < 8, groups[end] == 0 { end += 1 }
            if end - start >= 2, end - start > longest.count { longest = start..<end }
            start = max(end, start + 1)
        }
        func join(_ part: ArraySlice<UInt16>) -> String {
            part.map { String($0, radix: 16) }.joined(separator: ":")
        }
        guard !longest.isEmpty else { return join(groups[...]) }
        return join(groups[..<longest.lowerBound]) + "::" + join(groups[longest.upperBound...])
    }
}

extension SocketAddress: CustomStringConvertible {
    /// `127.0.0.1:7000`, `[::1]:7000`, `unix:/run/x.sock`.
    public var description: String {
        switch self {
        case .ipv4: "\(host):\(port)"
        case .ipv6: "[\(host)]:\(port)"
        case .unix(let name): "unix:\(name)"
        }
    }
}
