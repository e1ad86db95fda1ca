// SPDX-License-Identifier: Apache-2.0

public import SpindleCore

/// How a UDP socket is made, and what is done with its datagrams.
public struct DatagramOptions: Sendable, Equatable {
    /// The answers to a datagram have together at most so many times its bytes (RFC 9000 §8.1 has 3, too); what is
    /// more is dropped. 0 answers nothing; nil is no limit, for where the network sees to it that peers are who they
    /// say.
    public var replyLimit: Int? = 3
    /// Datagrams of one peer and one size come, and leave, as one where the kernel can (UDP_GRO, UDP_SEGMENT).
    public var usesGroups = true
    /// Which address of this machine each came to is told, so that answers leave from there: nil when the socket is
    /// bound to all of them. IP_PKTINFO.
    public var tellsDestination: Bool?
    /// What routers have said of congestion is told. IP_RECVTOS.
    public var tellsECN = false
    /// Broadcast addresses may be sent to. SO_BROADCAST.
    public var allowsBroadcast = false
    /// Other sockets may have the same port, each getting what is sent to groups: for service discovery. SO_REUSEADDR.
    public var sharesAddress = false
    /// Fail when somebody else, sharing or not, has the port already.
    public var exclusive = true
    /// `::` takes IPv4 too (IPV6_V6ONLY off).
    public var dualStack = true
    /// Only packets of this interface (SO_BINDTODEVICE).
    public var interface: String?
    /// Options of the sockets, set before they are bound.
    public var settings: [SocketSetting] = []
    /// Several sockets share the port, one per reactor (SO_REUSEPORT).
    package var sharedPort = false
    /// Somebody else has made it: what it is, the kernel tells.
    package var isAdopted = false
    /// Groups come as one: a reactor has room for them.
    package private(set) var receivesGroups = true

    /// The defaults above.
    public init() {}

    /// How many bytes the answers to so many may have. A datagram has 65,527 at most, so more times that is no limit.
    package func replyRoom(for byteCount: Int) -> Int {
        replyLimit.map { byteCount * min(max($0, 0), 1 << 20) } ?? .max
    }

    /// For a reactor: one with room for short datagrams only would have groups cut off.
    package func fitting(_ configuration: ReactorConfiguration) -> DatagramOptions {
        var options = self
        options.receivesGroups = usesGroups && configuration.largestDatagramBytes >= 65_535
        return options
    }
}

/// A UDP socket can't be opened.
public enum DatagramError: Error, CustomStringConvertible {
    /// Its address can't be had.
    case bind(ListenError)
    /// There is no way to its peer.
    case connect(SocketAddress, Errno)
    /// The reactor ends.
    case engineStopped
    /// The driver is one of your own, and moves no datagrams.
    case notSupported
    /// The closure that makes its protocol threw.
    case failed(any Error)

    /// One sentence.
    public var description: String {
        switch self {
        case .bind(let error): "\(error)"
        case .connect(let peer, let errno): "cannot send to \(peer): \(errno)"
        case .engineStopped: "the engine stops"
        case .notSupported: "this driver moves no datagrams"
        case .failed(let error): "its protocol could not be made: \(error)"
        }
    }
}
