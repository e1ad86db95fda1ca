// SPDX-License-Identifier: Apache-2.0

internal import Synchronization

/// A rate that bytes may not exceed: of one connection, of a tenant's, or of all, on whichever reactors they are.
///
/// A token bucket that is counted in bytes and decided by reservation (GCRA, as ATM's traffic control has it): whoever
/// wants to pass bytes reserves them and is told from when on they may. So everybody waits once, in the order of
/// coming, and in any time span no more than `burstBytes` + `bytesPerSecond` × span fall due. From any thread, without
/// a lock: one atomic number.
///
/// Who waits keeps the time that he was told, whatever becomes of those before him. Connections wait by their reactor's
/// timers, which have ticks of a millisecond: a burst that is smaller than what the rate lets through in one bounds it
/// to a burst each.
public final class RateLimit: Sendable {
    /// 1 to 10^10.
    public let bytesPerSecond: Int
    /// What may pass at once after a pause.
    public let burstBytes: Int
    /// The most that is reserved at a time, so that those who share it have turns: 10 ms worth, 1 to 64 KiB.
    public let quantumBytes: Int

    /// Bytes reserved, on the scale of `ceiling`.
    private let level = Atomic<Int>(Int.min / 2)

    /// Bytes that may pass at some time.
    public struct Reservation: Sendable {
        /// From then on they may pass.
        public let due: MonotonicInstant
        /// Where they end, on the scale of `ceiling`.
        fileprivate let end: Int
    }

    /// Nothing has passed yet.
    ///
    /// - Parameters:
    ///   - bytesPerSecond: 1 to 10^10.
    ///   - burstBytes: 1 to 2^50; nil for what passes in 100 ms, 1 KiB at least.
    public init(bytesPerSecond: Int, burstBytes: Int? = nil) {
        precondition(RateLimit.allowedRates.contains(bytesPerSecond), "\(bytesPerSecond) bytes a second")
        let burst = burstBytes ?? max(bytesPerSecond / 10, 1024)
        precondition(RateLimit.allowedBursts.contains(burst), "a burst of \(burst) bytes")
        self.bytesPerSecond = bytesPerSecond
        self.burstBytes = burst
        quantumBytes = min(burst, max(1024, min(bytesPerSecond / 100, 65_536)))
    }

    /// What `bytesPerSecond` may be.
    public static var allowedRates: ClosedRange<Int> { 1...10_000_000_000 }
    /// What `burstBytes` may be.
    public static var allowedBursts: ClosedRange<Int> { 1...(1 << 50) }

    /// Reserves bytes, in the order of the calls.
    ///
    /// - Parameters:
    ///   - count: At most `burstBytes`: more than that would never fit.
    ///   - now: On the clock that all callers have.
    /// - Returns: From when on they may pass; `now` for at once.
    public func reserve(_ count: Int, now: MonotonicInstant) -> Reservation {
        precondition(count >= 0 && count <= burstBytes, "\(count) bytes of at most \(burstBytes)")
        let ceiling = ceiling(at: now)
        var old = level.load(ordering: .relaxed)
        while true {
            let (sum, overflow) = max(old, ceiling - burstBytes).addingReportingOverflow(count)
            let new = overflow ? Int.max : sum
            let (exchanged, found) = level.weakCompareExchange(expected: old, desired: new, ordering: .relaxed)
            if exchanged { return Reservation(due: new <= ceiling ? now : instant(of: new), end: new) }
            old = found
        }
    }

    /// Gives back what was reserved and will not pass: so many bytes, at most those of the reservation.
    ///
    /// Has an effect while nobody has reserved since then. Who has, keeps the time that he was told, before which the
    /// bytes would have passed: another who passed them later would be one too many.
    public func giveBack(_ count: Int, of reservation: Reservation) {
        guard count > 0 else { return }
        _ = level.compareExchange(expected: reservation.end, desired: reservation.end - count, ordering: .relaxed)
    }

    /// The level that may be reached by now: it rises with the rate.
    private func ceiling(at now: MonotonicInstant) -> Int {
        let product = now.nanoseconds.multipliedFullWidth(by: UInt64(bytesPerSecond))
        guard product.high < 1_000_000_000 else { return Int.max / 2 }
        let quotient = UInt64(1_000_000_000).dividingFullWidth(product).quotient
        return Int(min(quotient, UInt64(Int.max / 2)))
    }

    /// When the ceiling reaches `level`, which is above 0 then.
    private func instant(of level: Int) -> MonotonicInstant {
        let product = UInt64(max(level, 0)).multipliedFullWidth(by: 1_000_000_000)
        guard product.high < UInt64(bytesPerSecond) else { return MonotonicInstant(nanoseconds: .max) }
        let (quotient, remainder) = UInt64(bytesPerSecond).dividingFullWidth(product)
        return MonotonicInstant(nanoseconds: remainder > 0 && quotient < .max ? quotient + 1 : quotient)
    }
}
