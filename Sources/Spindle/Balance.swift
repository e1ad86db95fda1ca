// SPDX-License-Identifier: Apache-2.0

internal import SpindleCore
internal import SpindleReactor

/// Which reactor takes a new connection in the accept mode `balanced`. One per reactor, core-local.
final class Balance {
    private let own: Int
    private let handles: [ReactorHandle]
    private let threshold: UInt64
    /// What this turn has handed over, by reactor: their counters do not show it yet.
    private var onTheWay: [UInt64]
    private var turn: MonotonicInstant?

    init(of own: Int, _ handles: [ReactorHandle], threshold: UInt64) {
        self.own = own
        self.handles = handles
        self.threshold = threshold
        onTheWay = Array(repeating: 0, count: handles.count)
    }

    /// The reactor for a connection that was accepted in the turn that began at `now`.
    func target(at now: MonotonicInstant) -> Int {
        if turn != now {
            turn = now
            for index in onTheWay.indices { onTheWay[index] = 0 }
        }
        let loads = zip(handles, onTheWay).map { $0.counters[.openConnections] + $1 }
        let target = Balance.target(of: own, loads: loads, threshold: threshold)
        if target != own { onTheWay[target] += 1 }
        return target
    }

    /// The reactor with the fewest connections when `own` has `threshold` more, else `own`.
    static func target(of own: Int, loads: [UInt64], threshold: UInt64) -> Int {
        guard let least = loads.indices.min(by: { loads[$0] < loads[$1] }) else { return own }
        return loads[own] >= loads[least] + threshold ? least : own
    }
}
