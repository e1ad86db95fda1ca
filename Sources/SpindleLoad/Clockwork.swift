// SPDX-License-Identifier: Apache-2.0

internal import Spindle

/// Calls somebody when the next message of a schedule is due.
///
/// In each turn, of which a reactor that polls has a million a second; one that sleeps is woken for it, and that is
/// on time to a tick of the timer wheel.
final class Clockwork {
    private let reactor: Reactor
    private var schedule: SendSchedule
    private var isAwaitingNext = false
    /// Nil after the stop: it leads back here.
    private var isDue: ((_ index: Int, _ count: Int) -> Void)?

    /// - Parameter isDue: Called with a connection and how many more of its messages are due.
    init(_ reactor: Reactor, _ schedule: SendSchedule, isDue: @escaping (_ index: Int, _ count: Int) -> Void) {
        self.reactor = reactor
        self.schedule = schedule
        self.isDue = isDue
    }

    /// A clockwork that was there before goes on, until the first of them stops.
    func start() {
        let before = reactor.turnHook
        reactor.turnHook = { [self] in
            before?()
            run()
        }
        run()
    }

    func stop() {
        isDue = nil
        reactor.turnHook = nil
    }

    /// When message `round`, counted from 0, of a connection is due.
    func due(_ round: Int, of index: Int) -> UInt64 { schedule.due(round, of: index) }

    private func run() {
        guard let isDue else { return }
        let now = reactor.readClock().nanoseconds
        // A copy: whoever is told asks when the message was due.
        var taken = schedule
        taken.takeDue(by: now, isDue)
        schedule = taken
        guard !isAwaitingNext, let next = schedule.nextDue else { return }
        isAwaitingNext = true
        reactor.callLater(.nanoseconds(Int64(clamping: next - min(next, now)))) { [self] in
            isAwaitingNext = false
            run()
        }
    }
}
