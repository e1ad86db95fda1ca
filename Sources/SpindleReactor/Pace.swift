// SPDX-License-Identifier: Apache-2.0

internal import SpindleCore

/// One direction of a connection whose bytes are limited to rates: its own first, then those that it shares.
///
/// Reserves before bytes move, at one limit after the other, so that what is reserved at a shared one is not kept
/// from others while an own one makes it wait. What was reserved and did not move is given back.
final class Pace {
    let limits: [RateLimit]
    /// What the first of them have granted, the same number of bytes each.
    private var reservations: [RateLimit.Reservation] = []
    private var reserved = 0
    /// Granted bytes are on their way: `used` follows.
    private var isMoving = false
    /// Nanoseconds of the reactor's clock: when the last reservation can be used.
    private(set) var due: UInt64 = 0
    /// The connection waits for that since then; 0 when it does not.
    private var heldSince: UInt64 = 0
    var isHeld: Bool { heldSince > 0 }

    /// A reservation that nobody has used so long after it was due is none any more: what many connections have kept
    /// would pass at once. Nanoseconds.
    private static var longestKept: UInt64 { 50_000_000 }

    init(_ limits: [RateLimit]) {
        precondition(!limits.isEmpty, "a pace without limits")
        self.limits = limits
    }

    /// How many bytes may move now, 1 to `wanted`; 0 when nothing may before `due`. `used` has to follow otherwise.
    func grant(upTo wanted: Int, now: UInt64) -> Int {
        guard due <= now else { return hold(now) }
        if now - due > Pace.longestKept { giveBack() }
        if reserved == 0 { reserved = limits.reduce(wanted) { min($0, $1.quantumBytes) } }
        while reservations.count < limits.count {
            let limit = limits[reservations.count]
            let reservation = limit.reserve(reserved, now: MonotonicInstant(nanoseconds: now))
            reservations.append(reservation)
            due = reservation.due.nanoseconds
            guard due <= now else { return hold(now) }
        }
        heldSince = 0
        isMoving = true
        return min(reserved, wanted)
    }

    private func hold(_ now: UInt64) -> Int {
        if heldSince == 0 { heldSince = max(now, 1) }
        return 0
    }

    /// The connection does not wait any more, or looks again.
    ///
    /// - Returns: How long it has waited, in nanoseconds.
    func release(now: UInt64) -> UInt64 {
        defer { heldSince = 0 }
        return heldSince > 0 && heldSince < now ? now - heldSince : 0
    }

    /// What was reserved is not wanted any more.
    func giveBack() { if !isMoving { used(0) } }

    /// So many bytes have moved; what else was reserved is given back.
    func used(_ count: Int) {
        isMoving = false
        assert(count <= reserved, "\(count) of \(reserved) bytes")
        for (limit, reservation) in zip(limits, reservations) { limit.giveBack(reserved - count, of: reservation) }
        reservations.removeAll(keepingCapacity: true)
        (reserved, due) = (0, 0)
    }
}
