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
        let offset = duration.clampedNanoseconds
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
        let (seconds, attoseconds) = components
        let (whole, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        guard !overflow else { return seconds > 0 ? .max : .min }
        let (sum, carried) = whole.addingReportingOverflow(attoseconds / 1_000_000_000)
        return carried ? (seconds > 0 ? .max : .min) : sum
    }
}
