// SPDX-License-Identifier: Apache-2.0

internal import SpindleCore

/// Reading and writing no faster than limits allow: one look at a flag for connections without.
extension Connection {
    var readLimits: [RateLimit] {
        get { extras?.inputPace?.limits ?? [] }
        set {
            reactor.preconditionCurrent()
            guard let waited = replacePace(\.inputPace, by: newValue) else { return }
            if newValue.isEmpty { state.flags.remove(.inputPaced) } else { state.flags.insert(.inputPaced) }
            guard waited > 0 else { return }
            wentOn(afterReading: waited)
            if state.isLive { reactor.armTimer(of: self) }
        }
    }

    var writeLimits: [RateLimit] {
        get { extras?.outputPace?.limits ?? [] }
        set {
            reactor.preconditionCurrent()
            moveCorkToQueue()
            guard let waited = replacePace(\.outputPace, by: newValue) else { return }
            updateOutputQueued()
            guard waited > 0 else { return }
            wentOn(afterWriting: waited)
            reactor.settleLater(self)
            if state.isLive { reactor.armTimer(of: self) }
        }
    }

    /// - Returns: How long it has waited for the old limits; nil when there were none and are none.
    private func replacePace(
        _ pace: ReferenceWritableKeyPath<ConnectionExtras, Pace?>,
        by limits: [RateLimit]
    ) -> UInt64? {
        guard state.phase != .closed, !limits.isEmpty || extras != nil else { return nil }
        let extras = makeExtras()
        let (old, now) = (extras[keyPath: pace], reactor.now.nanoseconds)
        old?.giveBack()
        extras[keyPath: pace] = limits.isEmpty ? nil : Pace(limits)
        guard let old, old.isHeld else { return 0 }
        // At least one, for who waits since this very turn.
        return max(old.release(now: now), 1)
    }

    /// With a rate or descriptors to pass, what is written goes by way of the queue.
    func updateOutputQueued() {
        let isQueued = extras.map { $0.outputPace != nil || $0.passing.isDeparting } ?? false
        if isQueued { state.flags.insert(.outputQueued) } else { state.flags.remove(.outputQueued) }
    }

    /// Reads as many of `wanted` bytes as may be read now; when none may, reading waits until they may.
    ///
    /// - Parameter read: Reads at most so many bytes; the second is true when no more than those wait. Returns how many
    ///   came.
    func pacingInput(upTo wanted: Int, _ read: (Int, Bool) -> Int) {
        // Paused, held or ended since it was put on the list of those to read from.
        guard state.mayRead, let pace = extras?.inputPace else { return state.flags.formUnion(.inputWaits) }
        // Asked for, so that what is reserved is what comes; the end alone counts as a byte.
        let waiting = reactor.driver.waitingByteCount(of: handle).map { max($0, 1) }
        let granted = pace.grant(upTo: min(wanted, waiting ?? wanted), now: reactor.now.nanoseconds)
        guard granted > 0 else {
            state.flags.insert([.inputHeld, .inputWaits])
            return reactor.armTimer(of: self)
        }
        let count = read(granted, granted == waiting)
        pace.used(count)
    }

    /// Nothing is held back any more, and what was reserved is free for others.
    func giveBackReservations() {
        guard let extras else { return }
        extras.inputPace?.giveBack()
        extras.outputPace?.giveBack()
    }

    /// The time that this side has waited is none of the peer's silence.
    fileprivate func wentOn(afterReading waited: UInt64) {
        lastActivity = min(lastActivity &+ waited, reactor.now.nanoseconds)
        state.flags.remove(.inputHeld)
        reactor.readLaterIfNeeded(self)
    }

    fileprivate func wentOn(afterWriting waited: UInt64) {
        lastActivity = min(lastActivity &+ waited, reactor.now.nanoseconds)
        waitingSince = min(waitingSince &+ waited, reactor.now.nanoseconds)
    }

    /// Offers what may be sent now, by the limits and up to the next descriptors.
    ///
    /// - Returns: The bytes taken; nil when the connection broke, or nothing may be sent yet.
    @inline(never)
    func offerLimited() -> Int? {
        guard let extras else { return offerQueue(upTo: .max) }
        let most = min(extras.passing.bytesToNext, queue.unsentByteCount)
        guard let pace = extras.outputPace else { return offer(upTo: most, extras) }
        let granted = pace.grant(upTo: most, now: reactor.now.nanoseconds)
        guard granted > 0 else {
            reactor.armTimer(of: self)
            return nil
        }
        let taken = offer(upTo: granted, extras)
        pace.used(taken ?? 0)
        return taken
    }

    private func offer(upTo limit: Int, _ extras: ConnectionExtras) -> Int? {
        let taken = offerQueue(upTo: limit, passing: extras.passing.next)
        extras.passing.sent(taken ?? 0)
        updateOutputQueued()
        return taken
    }
}

extension Reactor {
    /// A limit has made the connection wait, and may not any more.
    func goOnAtPace(_ connection: Connection) {
        guard let extras = connection.extras else { return }
        let now = now.nanoseconds
        if let pace = extras.inputPace, pace.isHeld, pace.due <= now {
            connection.wentOn(afterReading: pace.release(now: now))
            // Nobody would use it before the protocol reads on.
            if !connection.state.mayRead { pace.giveBack() }
        }
        if let pace = extras.outputPace, pace.isHeld, pace.due <= now {
            connection.wentOn(afterWriting: pace.release(now: now))
            connection.sendQueue()
            settle(connection)
        }
        if connection.state.isLive { armTimer(of: connection) }
    }
}
