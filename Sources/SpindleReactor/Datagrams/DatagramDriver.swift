// SPDX-License-Identifier: Apache-2.0

package import SpindleCore
package import SpindleSystem

/// The part of the seam between a reactor and a kernel that moves datagrams; as `Driver` otherwise.
package protocol DatagramDriver: AnyObject {
    /// A socket that is bound, and connected when there is a peer.
    func openDatagrams(
        on local: SocketAddress,
        connectedTo peer: SocketAddress?,
        _ options: DatagramOptions
    ) throws(DatagramError) -> SocketHandle

    /// Reports with `token` that datagrams have come, or an error.
    func watch(datagrams socket: SocketHandle, token: EventToken) throws(Errno)

    /// The peer that it is connected to.
    func peer(of socket: SocketHandle) -> SocketAddress?

    /// Fills the batch from its beginning, with at most so many.
    ///
    /// - Returns: How many came; fewer than asked for when no more wait. Nil when none waits; an event follows.
    /// - Throws: Of a connected socket the peer's refusal.
    func receive(
        from socket: SocketHandle,
        into batch: inout IncomingDatagrams,
        atMost limit: Int
    ) throws(Errno) -> Int?

    /// Offers the messages from `first` on.
    ///
    /// - Returns: How many were taken, at least 1; nil when none is now.
    /// - Throws: What is wrong with the first of them; the others may be tried.
    func send(_ batch: borrowing OutgoingDatagrams, from first: Int, over socket: SocketHandle) throws(Errno) -> Int?

    /// How many datagrams the socket had no room for; nil when the driver can't tell.
    func dropCount(of socket: SocketHandle) -> UInt32?

    /// Its addresses are IPv6's, those of IPv4 mapped.
    func isIPv6(_ socket: SocketHandle) -> Bool

    /// Joins a group, or leaves it.
    func setMember(
        _ isMember: Bool,
        of group: SocketAddress,
        interface: UInt32,
        on socket: SocketHandle
    ) throws(Errno)

    /// How datagrams to groups leave.
    func setMulticast(_ option: MulticastOption, on socket: SocketHandle) throws(Errno)
}

/// The part of a driver provider that makes the sockets which reactors share out among them.
package protocol DatagramDriverProvider {
    /// A socket that is bound.
    func bindDatagrams(to address: SocketAddress, _ options: DatagramOptions) throws(DatagramError) -> BoundSocket

    /// A number of the provider's own for a UDP socket that somebody else has bound.
    func adopt(datagrams descriptor: Int32, _ options: DatagramOptions) throws(AdoptError) -> BoundSocket
}
