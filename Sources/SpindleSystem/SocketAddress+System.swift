// SPDX-License-Identifier: Apache-2.0

internal import CLinux
public import SpindleCore

extension SocketAddress {
    /// The address that a numeric text names: `127.0.0.1`, `::1`, `fe80::1%eth0`; nil when it names none.
    ///
    /// Host names are not looked up. Source: inet_pton(3).
    public init?(numericHost text: String, port: UInt16) {
        let parts = text.split(separator: "%", maxSplits: 1, omittingEmptySubsequences: false)
        guard let host = parts.first else { return nil }
        var raw = cl_address()
        guard unsafe cl_address_parse(String(host), &raw) == 1 else { return nil }
        if parts.count == 2 {
            let zone = String(parts[1])
            let index = UInt32(zone) ?? (unsafe cl_interface_index(zone))
            guard raw.family == 6, index > 0 else { return nil }
            raw.scope = index
        }
        raw.port = port
        guard let address = SocketAddress(raw) else { return nil }
        self = address
    }

    /// The address the shim returned; nil for a family that is none of ours.
    init?(_ raw: cl_address) {
        guard raw.family != 1 else {
            self = .unix(SocketAddress.name(of: raw))
            return
        }
        let (high, low) = unsafe withUnsafeBytes(of: raw.bytes) { bytes in
            unsafe (
                UInt64(bigEndian: bytes.loadUnaligned(as: UInt64.self)),
                UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
            )
        }
        switch raw.family {
        case 4: self = .ipv4(UInt32(high >> 32), port: raw.port)
        // ::ffff:a.b.c.d, an IPv4 peer of a dual-stack socket (RFC 4291 §2.5.5.2).
        case 6 where high == 0 && low >> 32 == 0xffff: self = .ipv4(UInt32(truncatingIfNeeded: low), port: raw.port)
        case 6: self = .ipv6(high: high, low: low, port: raw.port, scope: raw.scope)
        default: return nil
        }
    }

    /// The shim's form of the address.
    var raw: cl_address {
        var raw = cl_address()
        raw.port = port
        let (high, low): (UInt64, UInt64)
        switch self {
        case .unix(let name):
            raw.family = 1
            SocketAddress.put(name, into: &raw)
            return raw
        case .ipv4(let host, _):
            raw.family = 4
            (high, low) = (UInt64(host) << 32, 0)
        case .ipv6(let upper, let lower, _, let scope):
            raw.family = 6
            raw.scope = scope
            (high, low) = (upper, lower)
        }
        unsafe withUnsafeMutableBytes(of: &raw.bytes) { bytes in
            unsafe bytes.storeBytes(of: high.bigEndian, as: UInt64.self)
            unsafe bytes.storeBytes(of: low.bigEndian, toByteOffset: 8, as: UInt64.self)
        }
        return raw
    }

    /// Unix(7) marks an abstract name by a leading zero.
    private static func name(of raw: cl_address) -> String {
        unsafe withUnsafeBytes(of: raw.path) { path in
            let path = unsafe path[..<Int(raw.path_length)]
            guard unsafe path.first == 0 else { return unsafe String(decoding: path, as: UTF8.self) }
            return unsafe "@" + String(decoding: path.dropFirst(), as: UTF8.self)
        }
    }

    private static func put(_ name: String, into raw: inout cl_address) {
        var bytes = Array(name.utf8)
        if bytes.first == UInt8(ascii: "@") { bytes[0] = 0 }
        let count = unsafe withUnsafeMutableBytes(of: &raw.path) { path in
            let count = min(bytes.count, path.count)
            unsafe path.copyBytes(from: bytes[..<count])
            return count
        }
        raw.path_length = UInt8(count)
    }

    /// The kernel would take a part of the name for the whole.
    func checkLength() throws(Errno) {
        if case .unix(let name) = self, name.utf8.count > SocketAddress.longestUnixName { throw .nameTooLong }
    }

    /// The most bytes that a Unix socket's name may have: `sun_path` less the zero that ends or begins it. unix(7).
    package static var longestUnixName: Int { 107 }
}
