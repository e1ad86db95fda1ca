// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import Histogram

/// Finds how much a server can take: open loops at rising rates until it does not keep up, then a few between the last
/// that it did and the first that it did not. Pure: it is told what each rate gave, and says which is next.
public struct RateSweep: Sendable {
    /// What one rate gave.
    public struct Step: Sendable, Equatable {
        /// Messages a second that were due, and that came back.
        public let due: Double, cameBack: Double
        /// Latencies from when a message was due, nanoseconds.
        public let p50: UInt64, p99: UInt64, p999: UInt64
        /// Messages that were due and never sent.
        public let unsent: Int
        /// What a message more or less makes of the rate.
        public let resolution: Double

        /// Nothing is checked.
        public init(
            due: Double,
            cameBack: Double,
            p50: UInt64,
            p99: UInt64,
            p999: UInt64,
            unsent: Int,
            resolution: Double = 0
        ) {
            self.resolution = resolution
            self.due = due
            self.cameBack = cameBack
            self.p50 = p50
            self.p99 = p99
            self.p999 = p999
            self.unsent = unsent
        }

        /// Whether what was due came back.
        public var isAnswered: Bool {
            unsent == 0 && cameBack + 3 * resolution >= RateSweep.shareToKeepUp * due
        }

        /// The summary of a run.
        public init(due: Double, _ result: LoadResult) {
            self.init(
                due: due,
                cameBack: result.messagesPerSecond,
                p50: result.latency.valueAtPercentile(50),
                p99: result.latency.valueAtPercentile(99),
                p999: result.latency.valueAtPercentile(99.9),
                unsent: result.unsent,
                resolution: 1 / max(result.elapsed / .seconds(1), 1e-9)
            )
        }
    }

    /// How many rates rise from the lowest to the highest, evenly by factor.
    public static let risingCount = 7
    /// How often the stretch in which the server falls behind is halved.
    public static let halvings = 3
    /// A server keeps up that answers this share of what is due, three messages more or less, with a 99th percentile
    /// within the limit.
    public static let shareToKeepUp = 0.99

    private let rising: [Double]
    /// The highest 99th percentile with which a server keeps up, nanoseconds.
    private let p99Limit: UInt64
    /// What was tried, in that order.
    public private(set) var steps: [Step] = []

    /// - Parameters:
    ///   - rates: Messages a second, the lowest above 0.
    ///   - p99Limit: The highest 99th percentile with which a server keeps up.
    public init(_ rates: ClosedRange<Double>, p99Limit: Duration = .milliseconds(10)) {
        self.p99Limit = UInt64(min(max(p99Limit / .nanoseconds(1), 0), 9e18))
        let factor = rates.upperBound / rates.lowerBound
        let count = factor > 1 ? RateSweep.risingCount : 1
        rising = (0..<count).map { step in
            // Whole messages, so that a rate can be typed in again.
            (rates.lowerBound * pow(factor, Double(step) / Double(max(count - 1, 1)))).rounded()
        }
    }

    /// The rate to try next; nil when enough is known.
    public var next: Double? {
        let fallen = steps.filter { !keepsUp($0) }.map(\.due).min()
        if steps.count < rising.count, fallen == nil { return rising[steps.count] }
        guard let fallen, let kept = knee?.due, steps.count - risen < RateSweep.halvings else { return nil }
        let middle = ((fallen + kept) / 2).rounded()
        return middle > kept && middle < fallen ? middle : nil
    }

    /// How many of the steps were rising ones.
    private var risen: Int {
        steps.indices.first { $0 >= rising.count || steps[$0].due != rising[$0] } ?? steps.count
    }

    /// Tells what a rate gave.
    public mutating func add(_ step: Step) { steps.append(step) }

    /// Whether the server kept up at a step.
    public func keepsUp(_ step: Step) -> Bool {
        step.isAnswered && step.p99 <= p99Limit
    }

    /// The highest rate at which the server kept up, below the first at which it did not; nil when it never did.
    public var knee: Step? {
        let fallen = steps.filter { !keepsUp($0) }.map(\.due).min() ?? .infinity
        return steps.filter { keepsUp($0) && $0.due < fallen }.max { $0.due < $1.due }
    }
}
