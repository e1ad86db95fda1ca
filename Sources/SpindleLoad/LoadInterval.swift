// SPDX-License-Identifier: Apache-2.0

internal import Histogram

/// What came back in one stretch of the measured time.
public struct LoadInterval: Sendable, Equatable {
    /// When it ended, counted from the start of measuring.
    public let end: Duration
    /// How long it was.
    public let length: Duration
    /// Messages that came back in it.
    public let messages: Int
    /// Latencies of those that came back in it, nanoseconds: median, 99th percentile, longest; 0 when none did.
    public let p50: UInt64, p99: UInt64, longest: UInt64

    /// Messages per second.
    public var messagesPerSecond: Double { length > .zero ? Double(messages) / (length / .seconds(1)) : 0 }

    init(end: Duration, length: Duration, messages: Int, p50: UInt64, p99: UInt64, longest: UInt64) {
        self.end = end
        self.length = length
        self.messages = messages
        self.p50 = p50
        self.p99 = p99
        self.longest = longest
    }

    init(_ figures: LoadFigures, from start: Duration, to end: Duration) {
        self.end = end
        length = end - start
        messages = figures.messages
        p50 = figures.latency?.valueAtPercentile(50) ?? 0
        p99 = figures.latency?.valueAtPercentile(99) ?? 0
        longest = figures.latency?.max ?? 0
    }
}
