// SPDX-License-Identifier: Apache-2.0

internal import SpindleCore

/// One direction of a connection whose bytes are limited to rates: its own first, then those that it shares.
///
/// Reserves before bytes move, at one limit after the other, so that what is reserved at a shared one is not kept
/// from others while an own one makes it wait. What was reserved and did not move is given back.
final class Pace {
    let limits: [RateLimit]
    /// Bytes that the first so many limits have reserved.
    private var reserved = 0
    private var stage = 0
    /// Nanoseconds of the reactor's clock: when the last reservation can be used.
    private(set) var due: UInt64 = 0
    /// The connection waits for that.
    private(set) var isHeld = false

    init(_ limits: [RateLimit]) {
        precondition(!limits.isEmpty, "a pace without limits")
        self.limits = limits
    }

    deinit { giveBack() }

    /// How many bytes may move now, 1 to `wanted`; 0 when nothing may before `due`. `used` has to follow otherwise.
    func grant(upTo wanted: Int, now: UInt64) -> Int {
        guard due <= now else { return hold() }
        isHeld = false
        if reserved == 0 { reserved = limits.reduce(wanted) { min($0, $1.quantumBytes) } }
        while stage < limits.count {
            let instant = limits[stage].reserve(reserved, now: MonotonicInstant(nanoseconds: now))
            stage += 1
            guard instant.nanoseconds <= now else {
                due = instant.nanoseconds
                return hold()
            }
        }
        return min(reserved, wanted)
    }

    private func hold() -> Int {
        isHeld = true
        return 0
    }

    /// `due` has come: whoever waits looks again.
    func release() { isHeld = false }

    /// So many bytes have moved.
    func used(_ count: Int) {
        assert(count <= reserved, "\(count) of \(reserved) bytes")
        reserved -= count
        giveBack()
    }

    private func giveBack() {
        for limit in limits.prefix(stage) { limit.giveBack(reserved) }
        (reserved, stage, due) = (0, 0, 0)
    }
}
