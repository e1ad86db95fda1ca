// SPDX-License-Identifier: Apache-2.0

/// How long to wait before the next try: longer after each failure, up to a limit, and never quite the same.
///
/// A value without a clock. The jitter keeps clients that have lost their server at the same moment from coming back
/// at the same moment.
public struct Backoff: Sendable, Equatable {
    /// The wait after the first failure; more than zero.
    public var initial: Duration = .milliseconds(100)
    /// Each wait is so many times the one before; at least 1.
    public var factor = 2.0
    /// The longest wait.
    public var maximum: Duration = .seconds(30)
    /// A wait is shortened by up to this share of it, at random; 0...1.
    public var jitter = 0.5
    /// Tries in a row that may fail; nil for no limit.
    public var maximumFailures: Int?
    /// Failures in a row so far.
    public private(set) var failureCount = 0

    /// The defaults above.
    public init() {}

    /// Notes a failure.
    ///
    /// - Returns: How long to wait before the next try; nil when there should be none.
    public mutating func failed(using generator: inout some RandomNumberGenerator) -> Duration? {
        precondition(initial > .zero && factor >= 1 && (0...1).contains(jitter), "a wait that makes no sense: \(self)")
        failureCount += 1
        if let maximumFailures, failureCount > maximumFailures { return nil }
        // In seconds as a Double, which grows beyond everything without a trap; a wait has a year at most.
        let longest = min(maximum, .seconds(365 * 24 * 3600)) / .seconds(1)
        var wait = initial / .seconds(1)
        for _ in 1..<max(failureCount, 1) where wait < longest { wait *= factor }
        return .seconds(min(wait, longest) * (1 - jitter * Double.random(in: 0...1, using: &generator)))
    }

    /// Notes a success: the next failure is the first again.
    public mutating func succeeded() { failureCount = 0 }
}
