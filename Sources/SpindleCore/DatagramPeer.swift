// SPDX-License-Identifier: Apache-2.0

/// Where a datagram came from, or goes to, as the kernel has it: answering takes no conversion.
///
/// The bytes of a `struct sockaddr_in` or `sockaddr_in6` (ip(7), ipv6(7)), and their number.
@usableFromInline package struct DatagramPeer: Sendable {
    @usableFromInline package var words: (UInt64, UInt64, UInt64, UInt64)

    /// - Parameter words: 28 bytes of an address, and its length in 4: 0 for none.
    @inlinable package init(words: (UInt64, UInt64, UInt64, UInt64)) { self.words = words }

    /// None: the peer that the socket is connected to.
    package static var none: DatagramPeer { DatagramPeer(words: (0, 0, 0, 0)) }

    package var isNone: Bool { words.3 >> 32 == 0 }

    /// Port 0: nobody can be answered there.
    package var hasPort: Bool { words.0 & 0xffff_0000 != 0 }

    /// AF_INET6 and AF_INET of Linux, on every processor.
    private static var inet6: UInt64 { 10 }
    private static var inet: UInt64 { 2 }

    /// The address in the form that a socket of this family has it in: an IPv4 one is mapped for an IPv6 socket
    /// (RFC 4291 §2.5.5.2).
    ///
    /// - Returns: Nil for an IPv6 address and an IPv4 socket, and for a Unix socket's.
    package init?(_ address: SocketAddress, ofIPv6Socket isIPv6: Bool) {
        let port = UInt64(address.port.byteSwapped) << 16
        switch (address, isIPv6) {
        case (.ipv4(let host, _), false):
            self.init(words: (DatagramPeer.inet | port | UInt64(host.byteSwapped) << 32, 0, 0, 16 << 32))
        case (.ipv4(let host, _), true):
            self.init(
                words: (
                    DatagramPeer.inet6 | port, 0, 0xffff_0000 | UInt64(host.byteSwapped) << 32, 28 << 32
                )
            )
        case (.ipv6(let high, let low, _, let scope), true):
            self.init(
                words: (DatagramPeer.inet6 | port, high.byteSwapped, low.byteSwapped, 28 << 32 | UInt64(scope))
            )
        case (.ipv6, false), (.unix, _): return nil
        }
    }

    /// Nil for none.
    package var address: SocketAddress? {
        guard !isNone else { return nil }
        let port = UInt16(truncatingIfNeeded: words.0 >> 16).byteSwapped
        if words.0 & 0xffff == DatagramPeer.inet {
            return .ipv4(UInt32(truncatingIfNeeded: words.0 >> 32).byteSwapped, port: port)
        }
        let (high, low) = (words.1.byteSwapped, words.2.byteSwapped)
        if high == 0, low >> 32 == 0xffff { return .ipv4(UInt32(truncatingIfNeeded: low), port: port) }
        return .ipv6(high: high, low: low, port: port, scope: UInt32(truncatingIfNeeded: words.3))
    }
}
