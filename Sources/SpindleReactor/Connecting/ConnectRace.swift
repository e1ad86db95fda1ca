// SPDX-License-Identifier: Apache-2.0

package import SpindleCore

/// Which of a name's addresses to try when ("happy eyeballs"): RFC 8305 §4 to §6.
///
/// Pure: no clock, no socket. Whoever runs it does what each answer says.
package struct ConnectRace {
    package enum Step: Equatable {
        /// Begin with this address; the wait for the next one begins anew.
        case begin(SocketAddress)
        /// Nothing to do until something else happens.
        case wait
        /// Every address has failed.
        case fail
    }

    private var waiting: ArraySlice<SocketAddress>
    private var runningCount = 0

    /// A race of these addresses, the most promising first as the resolver sorts them (RFC 6724).
    package init(_ addresses: [SocketAddress]) { waiting = ConnectRace.interleaved(addresses)[...] }

    /// True while addresses wait for their turn: the wait for the next one is worth a timer.
    package var hasMore: Bool { !waiting.isEmpty }

    /// The start, or the attempt delay has passed.
    package mutating func next() -> Step {
        guard let address = waiting.popFirst() else { return runningCount == 0 ? .fail : .wait }
        runningCount += 1
        return .begin(address)
    }

    /// An address has failed: the next one does not wait any longer.
    package mutating func failed() -> Step {
        precondition(runningCount > 0, "more failures than attempts")
        runningCount -= 1
        return next()
    }

    /// The families take turns, beginning with the first address's, so that a broken one costs one delay and not many.
    package static func interleaved(_ addresses: [SocketAddress]) -> [SocketAddress] {
        guard let first = addresses.first else { return [] }
        var own = addresses.filter { isIPv6($0) == isIPv6(first) }[...]
        var other = addresses.filter { isIPv6($0) != isIPv6(first) }[...]
        var result: [SocketAddress] = []
        while !own.isEmpty || !other.isEmpty {
            if let address = own.popFirst() { result.append(address) }
            if let address = other.popFirst() { result.append(address) }
        }
        return result
    }

    private static func isIPv6(_ address: SocketAddress) -> Bool { if case .ipv6 = address { true } else { false } }
}
