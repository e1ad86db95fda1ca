// SPDX-License-Identifier: Apache-2.0

internal import SpindleCore

/// Reading and writing no faster than limits allow: one look at a flag for connections without.
extension Connection {
    var readLimits: [RateLimit] {
        get { extras?.inputPace?.limits ?? [] }
        set {
            reactor.preconditionCurrent()
            guard let pace = replacePace(\.inputPace, by: newValue, .inputPaced) else { return }
            if pace == .wasHeld {
                state.flags.remove(.inputHeld)
                reactor.readLaterIfNeeded(self)
            }
        }
    }

    var writeLimits: [RateLimit] {
        get { extras?.outputPace?.limits ?? [] }
        set {
            reactor.preconditionCurrent()
            moveCorkToQueue()
            guard let pace = replacePace(\.outputPace, by: newValue, .outputPaced) else { return }
            if pace == .wasHeld {
                waitingSince = reactor.now.nanoseconds
                reactor.settleLater(self)
            }
        }
    }

    private enum OldPace { case wasHeld, wasFree }

    private func replacePace(
        _ pace: ReferenceWritableKeyPath<ConnectionExtras, Pace?>,
        by limits: [RateLimit],
        _ flag: ConnectionState.Flags
    ) -> OldPace? {
        guard state.phase != .closed, !limits.isEmpty || extras != nil else { return nil }
        let extras = makeExtras()
        let wasHeld = extras[keyPath: pace]?.isHeld == true
        extras[keyPath: pace] = limits.isEmpty ? nil : Pace(limits)
        if limits.isEmpty { state.flags.remove(flag) } else { state.flags.insert(flag) }
        return wasHeld ? .wasHeld : .wasFree
    }

    /// Reads as many of `wanted` bytes as may be read now; when none may, reading waits until they may.
    func pacingInput(upTo wanted: Int, _ read: (Int) -> Void) {
        guard let pace = extras?.inputPace else { preconditionFailure("a paced connection without a pace") }
        // Asked for, so that what is reserved is what comes; the end alone counts as a byte.
        let waiting = reactor.driver.waitingByteCount(of: handle).map { max($0, 1) }
        let granted = pace.grant(upTo: min(wanted, waiting ?? wanted), now: reactor.now.nanoseconds)
        guard granted > 0 else {
            state.flags.insert([.inputHeld, .inputWaits])
            return reactor.armTimer(of: self)
        }
        let before = reactor.counters[.bytesReceived]
        read(granted)
        let count = Int(reactor.counters[.bytesReceived] - before)
        // Another pace may have been set meanwhile.
        pace.used(count)
        // All that there was: what came since then has an edge of its own.
        if count == waiting, state.flags.isDisjoint(with: .moreMayWait) { state.flags.remove(.inputWaits) }
    }

    /// Offers what may be sent now, by the limits and up to the next descriptors.
    ///
    /// - Returns: The bytes taken; nil when the connection broke, or nothing may be sent yet.
    @inline(never)
    func offerLimited() -> Int? {
        guard let extras else { return offerQueue(upTo: .max) }
        let most = min(extras.passing.bytesToNext, queue.byteCount)
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
        return taken
    }
}

extension Reactor {
    /// A limit has made the connection wait, and may not any more.
    func goOnAtPace(_ connection: Connection) {
        guard let extras = connection.extras else { return }
        if let pace = extras.inputPace, pace.isHeld, pace.due <= now.nanoseconds {
            pace.release()
            connection.lastActivity = now.nanoseconds
            connection.state.flags.remove(.inputHeld)
            readLaterIfNeeded(connection)
        }
        if let pace = extras.outputPace, pace.isHeld, pace.due <= now.nanoseconds {
            pace.release()
            connection.lastActivity = now.nanoseconds
            connection.waitingSince = now.nanoseconds
            connection.sendQueue()
            settle(connection)
        }
        if connection.state.isLive { armTimer(of: connection) }
    }
}
