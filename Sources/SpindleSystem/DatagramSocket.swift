// SPDX-License-Identifier: Apache-2.0

internal import CLinux
internal import Glibc
package import SpindleCore

/// A non-blocking UDP socket, as a number that its owner closes. udp(7).
package struct DatagramSocket: Equatable, Sendable {
    /// The kernel's number.
    package let descriptor: CInt
    /// It is IPv6's; so it may have peers of both families.
    package let isIPv6: Bool

    /// What the kernel is to tell with each datagram, or to do.
    package enum Feature: CaseIterable, Sendable {
        /// Datagrams of one peer come as one, as long as they have one size (UDP_GRO).
        case groups
        /// How many found no room in the socket (SO_RXQ_OVFL).
        case drops
        /// Which address each came to (IP_PKTINFO, IPV6_RECVPKTINFO).
        case localAddress
        /// The two bits of congestion (IP_RECVTOS, IPV6_RECVTCLASS).
        case ecn
        /// Broadcast addresses may be sent to (SO_BROADCAST).
        case broadcast
        /// Of groups, only datagrams of those that this socket has joined (IP_MULTICAST_ALL off).
        case ownGroups

        fileprivate var raw: CInt {
            switch self {
            case .groups: CInt(CL_DATAGRAM_GROUPS)
            case .drops: CInt(CL_DATAGRAM_DROPS)
            case .localAddress: CInt(CL_DATAGRAM_LOCAL_ADDRESS)
            case .ecn: CInt(CL_DATAGRAM_ECN)
            case .broadcast: CInt(CL_DATAGRAM_BROADCAST)
            case .ownGroups: CInt(CL_DATAGRAM_OWN_GROUPS)
            }
        }
    }

    /// How datagrams to groups are sent.
    package enum GroupOption: Sendable {
        /// How many routers they may pass (IP_MULTICAST_TTL, IPV6_MULTICAST_HOPS).
        case hops
        /// This machine's members get them, too (IP_MULTICAST_LOOP, IPV6_MULTICAST_LOOP).
        case loop
        /// By which interface they leave (IP_MULTICAST_IF, IPV6_MULTICAST_IF).
        case interface

        fileprivate var raw: CInt {
            switch self {
            case .hops: CInt(CL_MULTICAST_HOPS)
            case .loop: CInt(CL_MULTICAST_LOOP)
            case .interface: CInt(CL_MULTICAST_INTERFACE)
            }
        }
    }

    private var family: CInt { isIPv6 ? 6 : 4 }

    /// A socket of somebody else's making: asks for its family.
    package init(descriptor: CInt) { self.init(descriptor: descriptor, isIPv6: cl_socket_is_ipv6(descriptor) == 1) }

    /// One of known family.
    package init(descriptor: CInt, isIPv6: Bool) {
        self.descriptor = descriptor
        self.isIPv6 = isIPv6
    }

    /// What both kinds of sockets can do.
    package var common: StreamSocket { StreamSocket(descriptor: descriptor) }

    /// socket(2), non-blocking and close-on-exec, of the address's family.
    ///
    /// - Throws: EOPNOTSUPP for a Unix socket's address, and what socket(2) says.
    package static func open(for address: SocketAddress) throws(Errno) -> DatagramSocket {
        switch address {
        case .unix: throw .notSupported
        case .ipv4: DatagramSocket(descriptor: try checked(cl_datagram_socket(4)), isIPv6: false)
        case .ipv6: DatagramSocket(descriptor: try checked(cl_datagram_socket(6)), isIPv6: true)
        }
    }

    /// close(2).
    package func close() { Descriptor.close(descriptor) }

    /// bind(2).
    package func bind(to address: SocketAddress) throws(Errno) { try common.bind(to: address) }

    /// connect(2): from now on only this peer's datagrams come, and its refusals are errors.
    package func connect(to address: SocketAddress) throws(Errno) { try common.connect(to: address) }

    /// getsockname(2).
    package func localAddress() throws(Errno) -> SocketAddress { try common.localAddress() }

    /// setsockopt(2). ENOPROTOOPT where the kernel does not have it.
    package func enable(_ feature: Feature, _ isOn: Bool = true) throws(Errno) {
        try checked(cl_datagram_enable(descriptor, family, feature.raw, isOn ? 1 : 0))
    }

    /// The address in the form that this socket's datagrams have it in; nil for one that it can't reach.
    package func peer(_ address: SocketAddress) -> DatagramPeer? { DatagramPeer(address, ofIPv6Socket: isIPv6) }

    /// Joins a group, or leaves it. ip(7), ipv6(7).
    ///
    /// - Parameter interface: Its number; 0 for the kernel's choice.
    /// - Throws: EINVAL when the address is none of a group of the socket's family, EADDRINUSE when it is joined
    ///   already, EADDRNOTAVAIL when it is not.
    package func setMember(_ isMember: Bool, of group: SocketAddress, interface: UInt32) throws(Errno) {
        let raw = group.raw
        guard raw.family == UInt8(family) else { throw .invalidArgument }
        let result = unsafe withUnsafeBytes(of: raw.bytes) { bytes in
            unsafe cl_multicast(
                descriptor,
                family,
                isMember ? 1 : 0,
                bytes.baseAddress?.assumingMemoryBound(to: UInt8.self),
                interface
            )
        }
        try checked(result)
    }

    /// How many datagrams found no room in it (SO_MEMINFO); nil where the kernel does not tell.
    package var dropCount: UInt32? { UInt32(exactly: cl_datagram_drops(descriptor)) }

    /// setsockopt(2).
    package func set(_ option: GroupOption, _ value: Int32) throws(Errno) {
        try checked(cl_multicast_option(descriptor, family, option.raw, value))
    }

    /// recvmmsg(2): fills the batch from its beginning, with at most so many.
    ///
    /// - Returns: How many came, at least 1; nil when none waits.
    /// - Throws: Of a connected socket the peer's refusal.
    package func receive(into batch: inout IncomingDatagrams, atMost limit: Int = .max) throws(Errno) -> Int? {
        while true {
            let result = unsafe cl_receive_datagrams(
                descriptor,
                batch.datagrams,
                batch.scratch,
                CInt(min(limit, batch.capacity)),
                &batch.dropCount
            )
            if result > 0 { return Int(result) }
            if result == -EAGAIN { return nil }
            if result != -EINTR { throw Errno(rawValue: -result) }
        }
    }

    /// sendmmsg(2) of the messages from `first` on.
    ///
    /// - Returns: How many the kernel took, at least 1; nil when it takes none now.
    /// - Throws: What it says of the first of them: it goes nowhere, the others may be tried.
    package func send(_ batch: borrowing OutgoingDatagrams, from first: Int) throws(Errno) -> Int? {
        precondition(first >= 0 && first < batch.count, "message \(first) of \(batch.count)")
        while true {
            let result = unsafe cl_send_datagrams(
                descriptor,
                batch.messages + first,
                batch.scratch,
                CInt(batch.count - first)
            )
            if result > 0 { return Int(result) }
            if result == -EAGAIN { return nil }
            if result != -EINTR { throw Errno(rawValue: -result) }
        }
    }
}
