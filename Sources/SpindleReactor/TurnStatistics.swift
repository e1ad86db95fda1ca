// SPDX-License-Identifier: Apache-2.0

/// How long turns, phases and callbacks of a reactor have taken, in nanoseconds.
public struct TurnStatistics: Sendable {
    /// A histogram: (upper bound in nanoseconds, count) of each class that has any, ascending.
    public typealias Histogram = [(upperNanoseconds: UInt64, count: UInt64)]

    /// Turns as a whole, their waits not counted.
    public let turns: Histogram
    /// The phases: how often each lasted how long, and the longest, exactly.
    public let phases: [(phase: TurnPhase, histogram: Histogram, longestNanoseconds: UInt64)]
    /// The longest turn, its wait not counted.
    public let longestTurnNanoseconds: UInt64
    /// The longest callback.
    public let longestCallbackNanoseconds: UInt64
    /// The type of the protocol whose callback that was; empty without any.
    public let longestCallbackProtocol: String
    /// The share of time that was not spent waiting, 0...1.
    public var busyShare: Double {
        busyNanoseconds + idleNanoseconds > 0 ? busyNanoseconds / (busyNanoseconds + idleNanoseconds) : 0
    }
    /// Time that was spent in turns, and that was spent waiting for something to do.
    public let busyNanoseconds: Double, idleNanoseconds: Double
}

/// One turn as the flight recorder kept it.
public struct RecordedTurn: Sendable, CustomStringConvertible {
    /// When it began, in nanoseconds of the reactor's clock.
    public let startNanoseconds: UInt64
    /// The events that it dispatched.
    public let eventCount: UInt64
    /// Nanoseconds by phase, those that had something to do.
    public let phases: [(phase: TurnPhase, nanoseconds: UInt64)]

    /// One line.
    public var description: String {
        let parts = phases.map { "\($0.phase) \($0.nanoseconds) ns" }.joined(separator: ", ")
        return "turn at \(startNanoseconds) ns: \(eventCount) events, \(parts)"
    }
}

extension TurnRecorder {
    /// What was measured so far. From any thread.
    package var statistics: TurnStatistics {
        let scale = nanosecondsPerTick
        let longest = longestCallbackSoFar
        return TurnStatistics(
            turns: total.classes(scale: scale),
            phases: TurnPhase.allCases.map { phase in
                let histogram = histogram(of: phase)
                return (phase, histogram.classes(scale: scale), UInt64(Double(histogram.maximum) * scale))
            },
            longestTurnNanoseconds: UInt64(Double(total.maximum) * scale),
            longestCallbackNanoseconds: UInt64(Double(longest.ticks) * scale),
            longestCallbackProtocol: longest.type,
            busyNanoseconds: Double(phaseTicks.busy) * scale,
            idleNanoseconds: Double(phaseTicks.waiting) * scale
        )
    }

    /// The last turns, newest first, at most `limit`. From any thread; the newest may be incomplete.
    package func recentTurns(limit: Int) -> [RecordedTurn] {
        let scale = nanosecondsPerTick
        return keptTurns().sorted { $0.start > $1.start }.prefix(limit).map { record in
            RecordedTurn(
                startNanoseconds: record.start,
                eventCount: record.events,
                phases: zip(TurnPhase.allCases, record.ticks)
                    .filter { $0.1 > 0 }
                    .map { (phase: $0.0, nanoseconds: UInt64(Double($0.1) * scale)) }
            )
        }
    }
}

extension LogHistogram {
    func classes(scale: Double) -> TurnStatistics.Histogram {
        counts.enumerated().filter { $0.element > 0 }.map { index, count in
            (UInt64(Double(LogHistogram.lowerBound(of: index + 1)) * scale), count)
        }
    }
}
