// SPDX-License-Identifier: Apache-2.0

/// A point in time that no wall clock moves: nanoseconds since an unspecified start.
///
/// On Linux it is CLOCK_MONOTONIC (clock_gettime(2)); in a simulation it is whatever the simulation says.
public struct MonotonicInstant: InstantProtocol, Hashable, Sendable {
    /// Nanoseconds since the clock's start.
    public let nanoseconds: UInt64

    /// The instant `nanoseconds` after the clock's start.
    public init(nanoseconds: UInt64) { self.nanoseconds = nanoseconds }

    /// The instant `duration` later (earlier when negative), clamped to what 64 bits can hold.
    public func advanced(by duration: Duration) -> MonotonicInstant {
        advanced(byNanoseconds: duration.clampedNanoseconds)
    }

    /// As `advanced(by:)`.
    package func advanced(byNanoseconds offset: Int64) -> MonotonicInstant {
        let (sum, overflow) =
            offset >= 0
            ? nanoseconds.addingReportingOverflow(UInt64(offset))
            : nanoseconds.subtractingReportingOverflow(offset.magnitude)
        return MonotonicInstant(nanoseconds: overflow ? (offset >= 0 ? .max : 0) : sum)
    }

    /// How long it is from here to `other`; negative when `other` came first.
    public func duration(to other: MonotonicInstant) -> Duration {
        other >= self
            ? .nanoseconds(Int64(clamping: other.nanoseconds - nanoseconds))
            : .nanoseconds(-Int64(clamping: nanoseconds - other.nanoseconds))
    }

    /// Earlier instants come first.
    public static func < (left: MonotonicInstant, right: MonotonicInstant) -> Bool {
        left.nanoseconds < right.nanoseconds
    }
}

extension Duration {
    /// The duration in whole nanoseconds, at most ±292 years; fractions are rounded towards zero.
    package var clampedNanoseconds: Int64 {
        // 10^9 = 2^9 × 5^9: up to 2.6 hours, 64 bits hold what is left after the shift, and one division by a
        // constant is 20 ns cheaper than that of 128 bits that `components` does.
        if let shifted = UInt64(exactly: attoseconds >> 9) { return Int64(shifted / 1_953_125) }
        let (seconds, attoseconds) = components
        let (whole, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        guard !overflow else { return seconds > 0 ? .max : .min }
        let (sum, carried) = whole.addingReportingOverflow(attoseconds / 1_000_000_000)
        return carried ? (seconds > 0 ? .max : .min) : sum
    }
}
