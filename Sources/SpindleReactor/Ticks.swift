// SPDX-License-Identifier: Apache-2.0

internal import SpindleCore

/// The wheel's unit of time: 2^16 ns, 65.5 µs. A power of two, so that no division stands in the loop.
enum Ticks {
    private static let shift: UInt64 = 16

    /// The last tick at or before `instant`.
    static func floor(_ instant: MonotonicInstant) -> UInt64 { instant.nanoseconds >> shift }

    /// The first tick at or after `instant`: a timer that is due then never fires early.
    static func ceiling(_ instant: MonotonicInstant) -> UInt64 {
        let (sum, overflow) = instant.nanoseconds.addingReportingOverflow(1 << shift - 1)
        return (overflow ? UInt64.max : sum) >> shift
    }

    /// When a tick begins.
    static func instant(_ tick: UInt64) -> MonotonicInstant {
        MonotonicInstant(nanoseconds: tick > UInt64.max >> shift ? .max : tick << shift)
    }
}
