// SPDX-License-Identifier: Apache-2.0

internal import SpindleCore
internal import SpindleSystem

extension Reactor {
    /// Waits for events, at most until the next timer is due; not at all while anything is left to do.
    func wait(atMost limit: Int64) {
        recorder.beginWait()
        counters.add(.waits)
        if hasWork || limit == 0 {
            driver.wait(timeout: 0, into: &events)
        } else if configuration.pollMode {
            driver.wait(timeout: 0, into: &events)
            if events.isEmpty { _ = lookForMail(times: Reactor.looksPerPollWithoutSleep) }
        } else if !spin(atMost: limit) {
            return sleep(atMost: limit)
        }
        endWait()
    }

    private func endWait() {
        now = driver.now()
        recorder.end(.wait)
    }

    /// True while the next turn has something to do without any event.
    private var hasWork: Bool {
        isStopped || !jobs.isEmpty || !tasks.isEmpty || !closeQueue.isEmpty || !readyList.isEmpty
            || !flushList.isEmpty
            || !readyAcceptors.isEmpty
            || (usesDatagrams && hasDatagramWork)
            || wheel.hasExpired || doorbell.isRung || table.hasRemoved
    }

    private func sleep(atMost limit: Int64) {
        if doorbell.prepareToSleep() {
            counters.add(.sleeps)
            driver.wait(timeout: timeout(atMost: limit), into: &events)
            doorbell.wakeUp()
        } else {
            driver.wait(timeout: 0, into: &events)
        }
        endWait()
        // Mail alone has woken it: answered before the rest of a turn.
        guard events.isEmpty, doorbell.isRung else { return }
        answerMail()
        recorder.end(.mail)
    }

    /// Nanoseconds until the next timer; negative without one.
    private func timeout(atMost limit: Int64) -> Int64 {
        guard let tick = wheel.nextTick else { return limit }
        let due = Ticks.instant(tick)
        // The clock is read again here, not taken from the turn's start: a sleep too long would be a late timer.
        let left = due.nanoseconds &- driver.now().nanoseconds
        let timeout = Int64(bitPattern: left) <= 0 ? 0 : Int64(clamping: left)
        return limit < 0 ? timeout : min(timeout, limit)
    }

    /// Polls for events and mail for as long as `idleSpin` says.
    ///
    /// Mail is handled here and now, as between events: a message that meets a spinning reactor does not wait for
    /// the rest of a turn. The kernel, whose answer costs ten times a look at the doorbell, is asked less often.
    ///
    /// - Returns: True when there is something to do.
    private func spin(atMost limit: Int64) -> Bool {
        guard configuration.idleSpin > .zero else { return false }
        now = driver.now()
        var end = now.advanced(by: configuration.idleSpin)
        let last = limit < 0 ? MonotonicInstant(nanoseconds: .max) : now.advanced(by: .nanoseconds(limit))
        repeat {
            driver.wait(timeout: 0, into: &events)
            counters.add(.waits)
            if !events.isEmpty { return true }
            let found = lookForMail(times: Reactor.looksPerPoll)
            // What mail led to may need the whole turn; if not, the reactor is idle from now on.
            if found, hasWork { return true }
            now = driver.now()
            if found { end = now.advanced(by: configuration.idleSpin) }
        } while now < min(end, last, wheel.nextTick.map(Ticks.instant) ?? end)
        return false
    }

    /// Spins for so many pauses of about 20 ns, handling mail at once when it comes.
    ///
    /// - Returns: True when some came.
    private func lookForMail(times: Int) -> Bool {
        var found = false
        for _ in 0..<times {
            if doorbell.isRung || intake.lastHasMessage {
                if takeMailWhileWaiting() { found = true }
                if hasWork { return true }
            }
            Processor.relax()
        }
        return found
    }

    /// Looks at the doorbell between two polls of the kernel: 5 µs where a pause takes 20 ns. A poll costs as much
    /// as ten looks, and a message that comes meanwhile waits for it (with 64 looks a round trip took 450 ns instead
    /// of 390); an event that comes between polls waits for 5 µs at most, where a wake would take 25 to 60.
    private static var looksPerPoll: Int { 256 }
    /// The same in poll mode, which is chosen for the sake of events: they wait for half a microsecond at most.
    private static var looksPerPollWithoutSleep: Int { 32 }

    private func takeMailWhileWaiting() -> Bool {
        let start = SystemClock.ticks()
        // Nothing, when it was taken before its bell rang.
        guard answerMail() else { return false }
        recorder.interlude(.mail, since: start)
        return true
    }
}
