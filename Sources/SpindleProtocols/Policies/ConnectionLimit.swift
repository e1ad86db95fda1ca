// SPDX-License-Identifier: Apache-2.0

public import SpindleCore
internal import SpindleSystem
internal import Synchronization

/// How many connections there may be at once, in all and of one peer: exact, though one peer's connections come to
/// several cores.
///
/// One object for all reactors of an engine, and for several listeners if they are to be counted together. The counts
/// of peers lie behind one of 64 locks by the peer's hash, taken when a connection begins and when it ends; nothing is
/// done for a message. A connection counts until its socket is closed, and goes on counting when another reactor has
/// it.
public final class ConnectionLimit: Sendable {
    /// The numbers. Each says what happens when it is met: the next connection gets the overflow protocol, or is
    /// closed at once.
    public struct Configuration: Sendable, Equatable {
        /// Connections in all; nil for no limit.
        public var total: Int?
        /// Connections of one peer; nil for no limit. Peers of Unix sockets are not told apart, and not limited.
        public var perPeer: Int?
        /// What one peer is: so many bits of an IPv4 address.
        public var ipv4Bits = 32
        /// What one peer is: so many bits of an IPv6 address. Who has one has 2 to the power of 64 mostly.
        public var ipv6Bits = 64

        /// No limits.
        public init(total: Int? = nil, perPeer: Int? = nil) {
            self.total = total
            self.perPeer = perPeer
        }
    }

    /// The limits.
    public let configuration: Configuration
    private let count = Atomic<Int>(0)
    private let peers: [Guarded<[AddressPrefix: Int]>]

    /// Nobody is there yet.
    public init(_ configuration: Configuration) {
        precondition((configuration.total ?? 0) >= 0 && (configuration.perPeer ?? 0) >= 0, "a limit below zero")
        self.configuration = configuration
        peers = (0..<64).map { _ in Guarded([:]) }
    }

    /// Connections that count now.
    public var connectionCount: Int { count.load(ordering: .relaxed) }

    /// Connections of the peer that count now.
    public func connectionCount(of peer: SocketAddress) -> Int {
        guard let key = key(of: peer) else { return 0 }
        return stripe(of: key).withLock { $0[key] ?? 0 }
    }

    /// A builder that counts: connections beyond a limit are served by `overflow`, or closed at once, and don't count.
    ///
    /// - Parameters:
    ///   - overflow: For those who find no room, with the limit that they have met; brief, as `Farewell` is.
    ///   - build: For those who do.
    public func guarding(
        overflow: (@Sendable (any StreamTransport, Refusal) -> (any StreamProtocol)?)? = nil,
        _ build: @escaping StreamBuilder
    ) -> StreamBuilder {
        { [self] transport in
            let admitted = admit(transport.peerAddress)
            switch admitted {
            case .success(let place):
                transport.hold(place)
                return try build(transport)
            case .failure(let refusal):
                transport.refuse("\(refusal)")
                return overflow?(transport, refusal)
            }
        }
    }

    /// Which limit a connection has met.
    public enum Refusal: Error, Sendable, Equatable, CustomStringConvertible {
        /// There are as many connections as there may be.
        case total(Int)
        /// There are as many of its peer.
        case perPeer(Int)

        /// One line for a log.
        public var description: String {
            switch self {
            case .total(let limit): "there are \(limit) connections, as many as may be"
            case .perPeer(let limit): "its peer has \(limit) connections, as many as it may"
            }
        }
    }

    /// A connection's place: it counts for as long as somebody holds this.
    public final class Place: Sendable {
        private let limit: ConnectionLimit
        private let key: AddressPrefix?

        fileprivate init(_ limit: ConnectionLimit, _ key: AddressPrefix?) {
            self.limit = limit
            self.key = key
        }

        deinit { limit.leave(key) }
    }

    /// Takes a place for a connection of this peer, if there is one. From any thread.
    public func admit(_ peer: SocketAddress) -> Result<Place, Refusal> {
        guard let perPeer = configuration.perPeer, let key = key(of: peer) else {
            return takeTotal().map { Place(self, nil) }
        }
        // Both under the lock: a place that is taken and given back would be missed by somebody else meanwhile.
        return stripe(of: key).withLock { peers in
            let own = peers[key] ?? 0
            guard own < perPeer else { return .failure(.perPeer(perPeer)) }
            return takeTotal().map {
                peers[key] = own + 1
                return Place(self, key)
            }
        }
    }

    /// Never above the limit, not for a moment: whoever comes then would be refused for nothing.
    private func takeTotal() -> Result<Void, Refusal> {
        var present = count.load(ordering: .relaxed)
        while true {
            if let total = configuration.total, present >= total { return .failure(.total(total)) }
            let (exchanged, now) = count.weakCompareExchange(
                expected: present,
                desired: present + 1,
                ordering: .relaxed
            )
            if exchanged { return .success(()) }
            present = now
        }
    }

    private func leave(_ key: AddressPrefix?) {
        if let key {
            stripe(of: key).withLock { peers in
                let left = (peers[key] ?? 1) - 1
                peers[key] = left > 0 ? left : nil
            }
        }
        count.subtract(1, ordering: .relaxed)
    }

    private func key(of peer: SocketAddress) -> AddressPrefix? {
        switch peer {
        case .ipv4: AddressPrefix(peer, bitCount: configuration.ipv4Bits)
        case .ipv6: AddressPrefix(peer, bitCount: configuration.ipv6Bits)
        case .unix: nil
        }
    }

    private func stripe(of key: AddressPrefix) -> Guarded<[AddressPrefix: Int]> {
        peers[Int(UInt(bitPattern: key.hashValue) % UInt(peers.count))]
    }
}
