// SPDX-License-Identifier: Apache-2.0

internal import SpindleCore
internal import SpindleSystem
internal import Synchronization

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
// Sendable: every cell that is shared is atomic or behind the mutex.
@safe package final class TurnRecorder: @unchecked Sendable {
    /// How many turns the flight recorder keeps.
    package static let turnCount = 1000
    private static let phaseCount = TurnPhase.allCases.count
    /// Words of one recorded turn: start, events, and the ticks of each phase.
    private static let recordWords = 2 + phaseCount

    private let cells: UnsafeMutablePointer<Atomic<UInt64>>
    private let histograms: [LogHistogram]
    let total = LogHistogram()
    private var record: UnsafeMutablePointer<Atomic<UInt64>>
    private var turn = 0
    private var phaseStart: UInt64 = 0
    private var busyTicks: UInt64 = 0
    private var longestCallback: UInt64 = 0
    private let startTicks = SystemClock.ticks()
    private let startTime = SystemClock.now()
    private let published = Guarded<(callback: UInt64, type: String)>((0, ""))

    package init() {
        let count = TurnRecorder.turnCount * TurnRecorder.recordWords
        unsafe cells = .allocate(capacity: count)
        for index in 0..<count { unsafe (cells + index).initialize(to: Atomic(0)) }
        unsafe record = unsafe cells
        histograms = TurnPhase.allCases.map { _ in LogHistogram() }
    }

    deinit { unsafe cells.deallocate() }

    @inline(__always)
    func beginTurn(_ now: MonotonicInstant) {
        finishTurn()
        turn += 1
        unsafe record = unsafe cells + (turn % TurnRecorder.turnCount) * TurnRecorder.recordWords
        for word in 1..<TurnRecorder.recordWords { unsafe record[word].store(0, ordering: .relaxed) }
        unsafe record[0].store(now.nanoseconds, ordering: .relaxed)
    }

    private func finishTurn() {
        guard busyTicks > 0 else { return }
        total.add(busyTicks)
        busyTicks = 0
    }

    @inline(__always)
    func begin(_ phase: TurnPhase) { phaseStart = SystemClock.ticks() }

    @inline(__always)
    func end(_ phase: TurnPhase, eventCount: Int = 0) {
        let ticks = SystemClock.ticks() &- phaseStart
        unsafe record[2 + phase.rawValue].store(ticks, ordering: .relaxed)
        if eventCount > 0 { unsafe record[1].store(UInt64(eventCount), ordering: .relaxed) }
        histograms[phase.rawValue].add(ticks)
        if phase != .wait { busyTicks &+= ticks }
    }

    @inline(__always)
    func callbackEnded(since start: UInt64, of proto: any StreamProtocol) {
        let ticks = SystemClock.ticks() &- start
        if ticks > longestCallback { noteLongest(ticks, proto) }
    }

    @inline(never)
    private func noteLongest(_ ticks: UInt64, _ proto: any StreamProtocol) {
        longestCallback = ticks
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

    /// Ticks spent working and waiting.
    var phaseTicks: (busy: UInt64, waiting: UInt64) {
        (
            TurnPhase.allCases.filter { $0 != .wait }.reduce(0) { $0 &+ histogram(of: $1).total },
            histogram(of: .wait).total
        )
    }

    var longestCallbackSoFar: (ticks: UInt64, type: String) { published.withLock { ($0.callback, $0.type) } }

    /// The turns kept, in no order.
    func records() -> [(start: UInt64, events: UInt64, ticks: [UInt64])] {
        (0..<TurnRecorder.turnCount).compactMap { turn in
            let base = turn * TurnRecorder.recordWords
            let words = (0..<TurnRecorder.recordWords).map { unsafe cells[base + $0].load(ordering: .relaxed) }
            return words[0] == 0 ? nil : (words[0], words[1], Array(words[2...]))
        }
    }
}
