// SPDX-License-Identifier: Apache-2.0

internal import SpindleReactor

/// Which reactor takes a new connection in the accept mode `balanced`.
struct Balance {
    let own: Int
    let handles: [ReactorHandle]
    let threshold: Int
    /// The most connections that a reactor may have.
    let limit: Int

    /// The reactor for a connection that `own` has accepted just now.
    func target() -> Int {
        Balance.target(of: own, loads: handles.map(\.connectionLoad), threshold: threshold, limit: limit)
    }

    /// The reactor with the fewest connections when `own` has `threshold` more or has no room, else `own`.
    static func target(of own: Int, loads: [Int], threshold: Int, limit: Int = .max) -> Int {
        guard let least = loads.indices.min(by: { loads[$0] < loads[$1] }) else { return own }
        let isFull = loads[own] >= limit && loads[least] < limit
        return isFull || loads[own] >= loads[least] + threshold ? least : own
    }
}
