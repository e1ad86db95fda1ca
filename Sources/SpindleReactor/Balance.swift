// SPDX-License-Identifier: Apache-2.0

internal import Synchronization

/// Which reactor takes a new connection of one listener in the accept mode `balanced`, and the way there.
package final class Balance: Sendable {
    private let handles: [ReactorHandle]
    private let members: [Member]
    private let threshold: Int
    /// The most connections that a reactor may have.
    private let limit: Int
    let channel: Channel<HandedOverSocket>

    /// A reactor that may be given connections: its listener is watched.
    private final class Member: Sendable {
        let isListening = Atomic(false)
    }

    package init(_ channel: Channel<HandedOverSocket>, handles: [ReactorHandle], threshold: Int, limit: Int) {
        self.channel = channel
        self.handles = handles
        self.threshold = threshold
        self.limit = limit
        members = handles.map { _ in Member() }
    }

    /// From now on the reactor takes connections of this listener, or does so no longer. On its thread.
    func setListening(_ isListening: Bool, _ reactor: Int) {
        members[reactor].isListening.store(isListening, ordering: .releasing)
    }

    /// The reactor for a connection that `own` has accepted just now.
    func target(from own: Int) -> Int {
        let loads = zip(handles, members).map { handle, member in
            member.isListening.load(ordering: .acquiring) ? handle.connectionLoad : Int.max
        }
        return Balance.target(of: own, loads: loads, threshold: threshold, limit: limit)
    }

    /// The reactor with the fewest connections when `own` has `threshold` more or has no room, else `own`.
    package static func target(of own: Int, loads: [Int], threshold: Int, limit: Int = .max) -> Int {
        guard let least = loads.indices.min(by: { loads[$0] < loads[$1] }), least != own else { return own }
        let isFull = loads[own] >= limit && loads[least] < limit
        return isFull || loads[own] - loads[least] >= threshold ? least : own
    }
}
