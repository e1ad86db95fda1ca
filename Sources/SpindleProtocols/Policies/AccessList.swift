// SPDX-License-Identifier: Apache-2.0

public import SpindleCore

/// Which peers are let in, by the networks that they come from: the longest prefix that an address lies in decides.
///
/// Without any network that allows, everybody is let in who is not denied; with one, nobody else is. Peers of Unix
/// sockets come from no network and are let in: there the file's mode decides.
public struct AccessList: Sendable, Equatable {
    private var decisions: [AddressPrefix: Bool] = [:]
    /// The lengths that occur, longest first.
    private var lengths: [Int] = []
    private var letsOthersIn = true

    /// A list by which everybody is let in.
    public init() {}

    /// A list of networks; one that is both allowed and denied is denied.
    public init(allow: [AddressPrefix] = [], deny: [AddressPrefix] = []) {
        for prefix in allow { decisions[prefix] = true }
        for prefix in deny { decisions[prefix] = false }
        lengths = Set(decisions.keys.map(\.bitCount)).sorted(by: >)
        letsOthersIn = allow.isEmpty
    }

    /// True when a peer of this address is let in. Costs a look-up for each length of prefix in the list.
    public func allows(_ peer: SocketAddress) -> Bool {
        guard !peer.isUnix else { return true }
        for length in lengths {
            guard let prefix = AddressPrefix(peer, bitCount: length), prefix.bitCount == length else { continue }
            if let decision = decisions[prefix] { return decision }
        }
        return letsOthersIn
    }

    /// A builder that refuses peers who are not let in: their connections are closed at once, with a line in the log,
    /// once a second at most.
    public func guarding(_ build: @escaping StreamBuilder) -> StreamBuilder {
        { transport in
            guard allows(transport.peerAddress) else {
                transport.refuse("the access list does not let it in")
                return nil
            }
            return try build(transport)
        }
    }
}
