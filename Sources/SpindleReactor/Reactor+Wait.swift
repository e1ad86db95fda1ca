// SPDX-License-Identifier: Apache-2.0

internal import SpindleCore
internal import SpindleSystem

extension Reactor {
    /// Waits for events, at most until the next timer is due; not at all while anything is left to do.
    func wait(atMost limit: Int64) {
        recorder.begin(.wait)
        counters.add(.waits)
        if hasWork || limit == 0 {
            driver.wait(timeout: 0, into: &events)
        } else if !configuration.pollMode, !spin(atMost: limit) {
            sleep(atMost: limit)
        } else if configuration.pollMode {
            driver.wait(timeout: 0, into: &events)
        }
        now = driver.now()
        recorder.end(.wait)
    }

    /// True while the next turn has something to do without any event.
    private var hasWork: Bool {
        isStopped || !jobs.isEmpty || !closeQueue.isEmpty || !readyList.isEmpty || !flushList.isEmpty
            || !readyAcceptors.isEmpty
            || wheel.hasExpired || handle.doorbell.isRung
    }

    private func sleep(atMost limit: Int64) {
        guard handle.doorbell.prepareToSleep() else { return driver.wait(timeout: 0, into: &events) }
        counters.add(.sleeps)
        driver.wait(timeout: timeout(atMost: limit), into: &events)
        handle.doorbell.wakeUp()
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
    /// - Returns: True when there is something to do.
    private func spin(atMost limit: Int64) -> Bool {
        guard configuration.idleSpin > .zero else { return false }
        let start = driver.now()
        var spin = configuration.idleSpin.clampedNanoseconds
        if limit >= 0 { spin = min(spin, limit) }
        if let tick = wheel.nextTick { spin = min(spin, start.duration(to: Ticks.instant(tick)).clampedNanoseconds) }
        let end = start.advanced(by: .nanoseconds(spin))
        repeat {
            driver.wait(timeout: 0, into: &events)
            if !events.isEmpty || handle.doorbell.isRung { return true }
            counters.add(.waits)
            for _ in 0..<16 where !handle.doorbell.isRung { Processor.relax() }
        } while driver.now() < end
        return false
    }
}
