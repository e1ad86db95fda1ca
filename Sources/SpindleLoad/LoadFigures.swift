// SPDX-License-Identifier: Apache-2.0

internal import Histogram

/// What was measured in some time, on one reactor of the generator or on all.
struct LoadFigures: Sendable {
    /// Messages that came back.
    var messages = 0
    /// Messages of an open loop that were due and never sent: what came before them had not come back.
    var unsent = 0
    /// Datagrams that did not come back.
    var lost = 0
    /// Nanoseconds, three digits, up to a minute; nil without any, because it takes 200 KB.
    private(set) var latency: Histogram<UInt64>?

    /// The longest latency that is told from longer ones: a minute.
    static let longest: UInt64 = 60_000_000_000

    static func makeHistogram() -> Histogram<UInt64> {
        Histogram(highestTrackableValue: longest, numberOfSignificantValueDigits: .three)
    }

    static func merged(_ histograms: [Histogram<UInt64>]) -> Histogram<UInt64> {
        var all = makeHistogram()
        for histogram in histograms { all.add(histogram) }
        return all
    }

    mutating func add(_ more: Histogram<UInt64>) {
        if latency == nil { latency = more } else { latency?.add(more) }
    }

    mutating func add(_ other: LoadFigures) {
        messages += other.messages
        unsent += other.unsent
        lost += other.lost
        if let more = other.latency { add(more) }
    }
}
