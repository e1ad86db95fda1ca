// SPDX-License-Identifier: Apache-2.0

internal import Histogram

/// What one reactor of the generator measures, and whether the run still counts. Core-local.
final class LoadRecorder {
    private let isOpenLoop: Bool
    private let progress: LoadProgress
    /// What counts, by when it came back or, in an open loop, was due; nil before measuring.
    private var measured: Range<UInt64>?
    private var messages = 0, unsent = 0, lost = 0
    /// Not an optional of one: this is touched for every message.
    private var latency = LoadFigures.makeHistogram()
    private var isEmpty = true
    private(set) var failure: LoadFailure?
    /// Messages that have come back since the beginning.
    private(set) var receivedCount = 0

    init(_ plan: LoadPlan, _ progress: LoadProgress) {
        isOpenLoop = plan.pace.isOpen
        self.progress = progress
    }

    /// From now on it counts.
    func start(at now: UInt64) {
        _ = takeFigures()
        measured = now..<UInt64.max
    }

    /// What comes, or is due, from now on does not count; nor does another end.
    func end(at now: UInt64) {
        if let measured, measured.upperBound == .max {
            self.measured = measured.lowerBound..<max(measured.lowerBound, now)
        }
    }

    /// A message has come back.
    ///
    /// - Parameter start: What its latency counts from: when it was sent or, in an open loop, due.
    func record(from start: UInt64, to now: UInt64) {
        guard let measured, measured.contains(isOpenLoop ? start : now) else { return }
        record(nanoseconds: now - start, count: 1)
    }

    private func record(nanoseconds: UInt64, count: Int) {
        isEmpty = false
        // What takes longer than a minute is kept as a minute.
        latency.record(min(nanoseconds, LoadFigures.longest), count: UInt64(count))
    }

    func received(messages count: Int, at now: UInt64) {
        if measured?.contains(now) == true { messages += count }
        receivedCount += count
        progress.add(count)
    }

    /// So many datagrams did not come back.
    func lost(_ count: Int, at now: UInt64) { if measured != nil { lost += count } }

    /// So many messages were due and are never sent; how long they have waited counts, or the slowest would be left
    /// out.
    ///
    /// - Parameter due: When the first of them, the second … was due: rising. Of more than a thousand, each that is
    ///   looked at stands for its neighbours.
    func recordUnsent(_ count: Int, at now: UInt64, due: (Int) -> UInt64) {
        let step = max(1, count / 1000)
        for message in stride(from: 0, to: count, by: step) {
            let start = due(message)
            guard let measured, measured.contains(start) else { continue }
            let stands = min(step, count - message)
            unsent += stands
            record(nanoseconds: now - min(start, now), count: stands)
        }
    }

    /// Only the first failure counts: the others follow from it.
    func fail(_ failure: LoadFailure) {
        if self.failure == nil { self.failure = failure }
    }

    /// The figures since the last call: of an interval.
    func takeFigures() -> LoadFigures {
        var figures = LoadFigures()
        (figures.messages, figures.unsent, figures.lost) = (messages, unsent, lost)
        if !isEmpty {
            figures.add(latency)
            latency = LoadFigures.makeHistogram()
        }
        (messages, unsent, lost, isEmpty) = (0, 0, 0, true)
        return figures
    }
}
