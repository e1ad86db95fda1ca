// SPDX-License-Identifier: Apache-2.0

internal import SpindleCore

/// What a connection waits for, and until when. Times are nanoseconds of the reactor's clock.
struct Deadline: Equatable {
    enum Kind: Equatable { case connect, idle, handshake, writeProgress, close, linger, pace }
    let due: UInt64
    let kind: Kind

    /// The earlier of two.
    static func earliest(_ first: Deadline?, _ second: Deadline?) -> Deadline? {
        guard let first, let second else { return first ?? second }
        return second.due < first.due ? second : first
    }
}

extension Reactor {
    /// The deadline that comes first for the connection as it is now.
    private func deadline(of connection: Connection) -> Deadline? {
        func after(_ start: UInt64, _ timeout: Duration?, _ kind: Deadline.Kind) -> Deadline? {
            guard let timeout else { return nil }
            let due = MonotonicInstant(nanoseconds: start).advanced(by: timeout)
            return Deadline(due: due.nanoseconds, kind: kind)
        }
        switch connection.state.phase {
        case .connecting:
            return connection.idleTimeout == 0
                ? nil : Deadline(due: connection.waitingSince &+ connection.idleTimeout, kind: .connect)
        case .open:
            var first = paceDeadline(of: connection)
            // While a limit of this side makes it wait, or a disk, it is not idle.
            let waitsForDisk = connection.state.flags.contains(.fileLoading)
            if connection.idleTimeout > 0, first == nil, !waitsForDisk {
                first = Deadline(due: connection.lastActivity &+ connection.idleTimeout, kind: .idle)
            }
            if let due = connection.extras?.handshakeDue, due > 0 {
                first = .earliest(first, Deadline(due: due, kind: .handshake))
            }
            guard !connection.queue.isEmpty, !waitsForDisk, connection.extras?.outputPace?.isHeld != true else {
                return first
            }
            return .earliest(first, after(connection.waitingSince, configuration.writeProgressTimeout, .writeProgress))
        case .draining:
            // Nor does the peer's time to take what is left run.
            if let pace = connection.extras?.outputPace, pace.isHeld { return Deadline(due: pace.due, kind: .pace) }
            if connection.state.flags.contains(.fileLoading) { return nil }
            return after(connection.waitingSince, configuration.closeTimeout, .close)
        case .lingering:
            let limit = connection.hasSendsInPlace ? configuration.closeTimeout : configuration.lingerTimeout
            return after(connection.waitingSince, limit, .linger)
        case .closing, .closed: return nil
        }
    }

    private func paceDeadline(of connection: Connection) -> Deadline? {
        guard let extras = connection.extras else { return nil }
        var first: Deadline?
        for pace in [extras.inputPace, extras.outputPace] {
            if let pace, pace.isHeld { first = .earliest(first, Deadline(due: pace.due, kind: .pace)) }
        }
        return first
    }

    /// Has the connection's one timer fire when its first deadline is due, or earlier: it is looked at again then.
    func armTimer(of connection: Connection, since start: MonotonicInstant? = nil) {
        if let start { connection.waitingSince = start.nanoseconds }
        guard let deadline = deadline(of: connection) else { return }
        let tick = Ticks.ceiling(MonotonicInstant(nanoseconds: deadline.due))
        if let armed = wheel.due(connection.timer) {
            // Later is left to the firing: it costs one look, where moving the timer costs one per message.
            if tick < armed { _ = wheel.reschedule(connection.timer, at: tick) }
        } else {
            connection.timer = wheel.schedule(at: tick, .connection(connection.token))
        }
    }

    func cancelTimer(of connection: Connection) {
        _ = wheel.cancel(connection.timer)
        connection.timer = .none
    }

    func checkDeadlines(of connection: Connection) {
        connection.timer = .none
        guard let deadline = deadline(of: connection) else { return }
        guard deadline.due <= now.nanoseconds else { return armTimer(of: connection) }
        if deadline.kind == .pace { return goOnAtPace(connection) }
        counters.add(.timeouts)
        switch deadline.kind {
        case .connect: end(connection, .timedOut(.connect), reset: true)
        case .handshake: end(connection, .timedOut(.handshake), reset: true)
        case .writeProgress: end(connection, .timedOut(.writeProgress), reset: true)
        case .close: end(connection, .timedOut(.close), reset: true)
        case .linger: close(connection, reset: false)
        case .pace: break
        case .idle:
            connection.lastActivity = now.nanoseconds
            call(connection) { proto throws in try proto.idleTimeoutExpired() }
            if connection.state.isLive { armTimer(of: connection) }
        }
    }
}
