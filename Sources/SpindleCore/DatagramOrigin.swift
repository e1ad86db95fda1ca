// SPDX-License-Identifier: Apache-2.0

/// What is known of a datagram that came.
public struct DatagramOrigin: Sendable {
    @usableFromInline package let source: DatagramPeer
    @usableFromInline package let path: DatagramPath
    /// Where it came in: an interface's number; 0 when the socket was not asked to tell.
    public var interface: UInt32 { path.interface }
    /// What routers have said of it; `.notCapable` when the socket was not asked to tell.
    public var ecn: CongestionMark { path.ecn }
    /// It was longer than the reactor's largest datagram: the rest is cut off.
    public let isTruncated: Bool

    @inlinable package init(source: DatagramPeer, path: DatagramPath, isTruncated: Bool) {
        self.source = source
        self.path = path
        self.isTruncated = isTruncated
    }

    /// Who sent it, by what it says: nobody has verified that.
    public var peer: SocketAddress { source.address ?? .anyIPv4(port: 0) }

    /// Which address of this machine it came to, with port 0; nil when the socket was not asked to tell.
    public var destination: SocketAddress? { path.localAddress }
}

/// The two bits of explicit congestion notification. RFC 3168 §5.
public enum CongestionMark: UInt8, Sendable, Hashable {
    /// The sender does not take part.
    case notCapable = 0
    /// ECT(1): the sender takes part. RFC 9331 for low latency.
    case capable1 = 1
    /// ECT(0): the sender takes part.
    case capable0 = 2
    /// CE: a router was congested.
    case congested = 3
}

/// Which way a datagram came, or is to go, besides its peer.
@usableFromInline package struct DatagramPath: Sendable {
    /// In the kernel's order of bytes; an IPv4 one in the first four.
    @usableFromInline package var local: (UInt64, UInt64) = (0, 0)
    /// 4, 6, or 0 for the kernel's choice.
    @usableFromInline package var localFamily: UInt8 = 0
    @usableFromInline package var ecn = CongestionMark.notCapable
    /// The local address is a group's, or everybody's: nothing can leave from it.
    @usableFromInline package var isToMany = false
    @usableFromInline package var interface: UInt32 = 0

    @inlinable package init() {}

    /// Leaves from an address of this machine, by the interface of its scope.
    ///
    /// - Returns: Nil for a Unix socket's address.
    package init?(from local: SocketAddress) {
        switch local {
        case .ipv4(let host, _): (self.local, localFamily) = ((UInt64(host.byteSwapped), 0), 4)
        case .ipv6(let high, let low, _, let scope):
            self.local = (high.byteSwapped, low.byteSwapped)
            (localFamily, interface) = (6, scope)
        case .unix: return nil
        }
    }

    /// fe80::/10.
    private var isOfLink: Bool { localFamily == 6 && local.0.byteSwapped >> 54 == 0x3fa }

    package var localAddress: SocketAddress? {
        switch localFamily {
        case 4: return .ipv4(UInt32(truncatingIfNeeded: local.0).byteSwapped, port: 0)
        case 6:
            let (high, low) = (local.0.byteSwapped, local.1.byteSwapped)
            if high == 0, low >> 32 == 0xffff { return .ipv4(UInt32(truncatingIfNeeded: low), port: 0) }
            // Only a link's own address means nothing without the link. RFC 4007 §6.
            return .ipv6(high: high, low: low, port: 0, scope: isOfLink ? interface : 0)
        default: return nil
        }
    }
}
