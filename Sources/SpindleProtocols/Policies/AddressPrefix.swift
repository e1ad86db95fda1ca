// SPDX-License-Identifier: Apache-2.0

public import SpindleCore
internal import SpindleSystem

/// The first bits of addresses: a network, as `10.0.0.0/8` or `2001:db8::/32`. RFC 4632, RFC 4291 §2.3.
public struct AddressPrefix: Sendable, Hashable, CustomStringConvertible {
    /// The network's first address, without port and scope.
    public let address: SocketAddress
    /// How many bits count: 0...32 for IPv4, 0...128 for IPv6.
    public let bitCount: Int

    /// The first `bitCount` bits of `address`, of which more than it has means all; nil for a Unix socket, which is in
    /// no network.
    public init?(_ address: SocketAddress, bitCount: Int) {
        precondition(bitCount >= 0, "a prefix of \(bitCount) bits")
        var address = address
        // An IPv4 address in the other's clothes: ::ffff:a.b.c.d, RFC 4291 §2.5.5.2.
        if case .ipv6(0, let low, _, _) = address, low >> 32 == 0xFFFF {
            address = .ipv4(UInt32(truncatingIfNeeded: low), port: 0)
        }
        switch address {
        case .ipv4(let host, _):
            self.bitCount = min(bitCount, 32)
            self.address = .ipv4(host & UInt32(truncatingIfNeeded: ~(UInt64(0xFFFF_FFFF) >> self.bitCount)), port: 0)
        case .ipv6(let high, let low, _, _):
            self.bitCount = min(bitCount, 128)
            let highMask = self.bitCount >= 64 ? UInt64.max : ~(UInt64.max >> self.bitCount)
            let lowMask = self.bitCount <= 64 ? 0 : self.bitCount == 128 ? .max : ~(UInt64.max >> (self.bitCount - 64))
            self.address = .ipv6(high: high & highMask, low: low & lowMask, port: 0, scope: 0)
        case .unix: return nil
        }
    }

    /// The network that a text names, `10.0.0.0/8`; an address without a slash is a network of its own. Nil when the
    /// text names none, or bits behind the prefix are set, as in `10.0.0.1/8`: that would be another one than it says.
    public init?(_ text: String) {
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        guard let address = SocketAddress(numericHost: String(parts[0]), port: 0) else { return nil }
        let width = if case .ipv4 = address { 32 } else { 128 }
        guard parts.count == 2 else {
            self.init(address, bitCount: width)
            return
        }
        guard parts[1].allSatisfy({ $0.isNumber }), let bits = Int(parts[1]), bits <= width else { return nil }
        self.init(address, bitCount: bits)
        guard self.address == address else { return nil }
    }

    /// True for addresses of the network, whatever their port.
    public func contains(_ other: SocketAddress) -> Bool { AddressPrefix(other, bitCount: bitCount) == self }

    /// `10.0.0.0/8`.
    public var description: String { "\(address.host)/\(bitCount)" }
}
