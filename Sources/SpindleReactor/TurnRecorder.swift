// SPDX-License-Identifier: Apache-2.0

internal import SpindleCore
internal import SpindleSystem

/// The phases of a turn.
public enum TurnPhase: Int, CaseIterable, Sendable {
    /// Messages and jobs from other threads.
    case mail
    /// Timers that are due.
    case timers
    /// Jobs of this reactor.
    case jobs
    /// Output, closes and doorbells.
    case flush
    /// Waiting for events.
    case wait
    /// Callbacks.
    case dispatch
}

/// Measures turns: histograms by phase, the longest turn and callback, and the last 1,000 turns.
///
/// Written by its reactor alone, read from any thread. Time is counted in ticks of the processor (about 8 ns a
/// reading) and turned into nanoseconds when somebody looks.
package final class TurnRecorder: Sendable {
    /// How many turns the flight recorder keeps.
    package static let turnCount = 1000
    private static let phaseCount = TurnPhase.allCases.count
    /// Words of one recorded turn: start, events, and the ticks of each phase.
    private static let recordWords = 2 + phaseCount

    /// Places in `clockwork`.
    private enum Hand {
        /// Where the present turn's record begins.
        static let record = 0
        /// When the phase before the present one ended.
        static let boundary = 1
        /// When the present wait began; 0 outside of waits.
        static let waitStart = 2
        static let busyTicks = 3
        static let count = 4
    }

    private let records: SharedNumbers
    private let clockwork: SharedNumbers
    private let histograms: [LogHistogram]
    let total: LogHistogram
    private let startTicks = SystemClock.ticks()
    private let startTime = SystemClock.now()
    private let published = Guarded<(callback: UInt64, type: String)>((0, ""))

    init(in memory: LineMemory) {
        records = SharedNumbers(count: TurnRecorder.turnCount * TurnRecorder.recordWords, in: memory)
        clockwork = SharedNumbers(count: Hand.count, in: memory)
        histograms = TurnPhase.allCases.map { _ in LogHistogram(in: memory) }
        total = LogHistogram(in: memory)
    }

    /// Begins a turn that the clock dates `now`.
    @inline(__always)
    func beginTurn(_ now: MonotonicInstant) {
        finishTurn()
        let next = clockwork[Hand.record] + UInt64(TurnRecorder.recordWords)
        let record = next == UInt64(TurnRecorder.turnCount * TurnRecorder.recordWords) ? 0 : next
        clockwork[Hand.record] = record
        records.clear(Int(record)..<Int(record) + TurnRecorder.recordWords)
        records[Int(record)] = now.nanoseconds
        clockwork[Hand.boundary] = SystemClock.ticks()
    }

    private func finishTurn() {
        let ticks = clockwork[Hand.busyTicks]
        guard ticks > 0 else { return }
        total.add(ticks)
        clockwork[Hand.busyTicks] = 0
    }

    /// From now on the reactor waits, until `end(.wait)`.
    @inline(__always)
    func beginWait() { clockwork[Hand.waitStart] = clockwork[Hand.boundary] }

    /// Ends a phase, which began where the one before it ended: one reading of the counter for each that had
    /// something to do. One that had not is left out, and its moment goes to the next.
    @inline(__always)
    func end(_ phase: TurnPhase) {
        let now = SystemClock.ticks()
        let ticks = now &- clockwork[Hand.boundary]
        clockwork[Hand.boundary] = now
        records[Int(clockwork[Hand.record]) + 2 + phase.rawValue] &+= ticks
        histograms[phase.rawValue].add(ticks)
        if phase == .wait { clockwork[Hand.waitStart] = 0 } else { clockwork[Hand.busyTicks] &+= ticks }
    }

    /// Keeps how many events the turn has dispatched.
    @inline(__always)
    func note(eventCount: Int) { records[Int(clockwork[Hand.record]) + 1] = UInt64(eventCount) }

    /// Counts what was done during a wait, which is not charged for it; a turn of its own in the statistics.
    @inline(__always)
    func interlude(_ phase: TurnPhase, since start: UInt64) {
        let ticks = SystemClock.ticks() &- start
        records[Int(clockwork[Hand.record]) + 2 + phase.rawValue] &+= ticks
        histograms[phase.rawValue].add(ticks)
        total.add(ticks)
        clockwork[Hand.boundary] &+= ticks
        clockwork[Hand.waitStart] &+= ticks
    }

    /// Keeps the longest callback so far and whose it was.
    func noteLongestCallback(_ ticks: UInt64, of proto: AnyObject) {
        published.withLock { $0 = (ticks, String(describing: type(of: proto))) }
    }

    // MARK: For readers

    /// Nanoseconds of one tick, measured over the recorder's life.
    var nanosecondsPerTick: Double {
        let ticks = SystemClock.ticks() &- startTicks
        let elapsed = startTime.duration(to: SystemClock.now()).clampedNanoseconds
        return ticks == 0 ? 1 : Double(elapsed) / Double(ticks)
    }

    func histogram(of phase: TurnPhase) -> LogHistogram { histograms[phase.rawValue] }

    /// Ticks spent working and waiting, the present wait included: an idle reactor may wait for hours.
    var phaseTicks: (busy: UInt64, waiting: UInt64) {
        let waitStart = clockwork[Hand.waitStart]
        let now = SystemClock.ticks()
        let present = waitStart > 0 && now > waitStart ? now - waitStart : 0
        return (
            TurnPhase.allCases.filter { $0 != .wait }.reduce(0) { $0 &+ histogram(of: $1).total },
            histogram(of: .wait).total &+ present
        )
    }

    var longestCallbackSoFar: (ticks: UInt64, type: String) { published.withLock { ($0.callback, $0.type) } }

    /// The turns kept, in no order.
    func keptTurns() -> [(start: UInt64, events: UInt64, ticks: [UInt64])] {
        (0..<TurnRecorder.turnCount).compactMap { turn in
            let base = turn * TurnRecorder.recordWords
            let words = (0..<TurnRecorder.recordWords).map { records[base + $0] }
            return words[0] == 0 ? nil : (words[0], words[1], Array(words[2...]))
        }
    }
}
