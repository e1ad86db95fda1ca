// SPDX-License-Identifier: Apache-2.0

internal import SpindleCore

/// What asking for a connection's input gave.
@usableFromInline
enum PullOutcome {
    /// Bytes, lent until the driver is called again; what is written now leaves with `pullEnded`.
    case bytes(LentBytes)
    /// None now.
    case none
    /// No more comes.
    case end
}

/// Input that tasks ask for, instead of having it handed to them.
///
/// The kernel keeps what nobody has asked for. An event only resumes the task that waits, whose step runs right after
/// it: the bytes go from the kernel to the reactor's buffer and from there to the task, once each.
extension Reactor {
    /// Input has come, or the end.
    func offerInput(of connection: Connection) {
        connection.state.flags.insert(.inputWaits)
        if let reader = connection.reader.take() { return reader.resume() }
        // Nobody reads: a connection that broke is noticed all the same.
        guard connection.state.flags.contains(.inputIsFinal) else { return }
        if let errno = connection.sendError ?? driver.takeError(of: connection.handle) { end(connection, brokenBy: errno) }
    }

    /// Takes bytes of a connection whose task asks for them, at most what it may still read in this turn.
    func pull(from connection: Connection, _ budget: inout PullBudget) -> PullOutcome {
        guard !connection.state.flags.contains(.inputEnded) else { return .end }
        guard connection.state.mayRead, connection.state.flags.contains(.inputWaits) else { return .none }
        let limit = budget.left(in: counters[.turns], of: configuration.readBudgetBytes)
        guard limit > 0 else {
            counters.add(.readBudgetExhausted)
            return .none
        }
        if corked != .none { sendWhatTaskWrote() }
        counters.add(.receives)
        switch driver.receive(from: connection.handle, limit: limit) {
        case .bytes(let lent):
            let count = unsafe lent.pointer.count
            budget.used += count
            counters.add(.bytesReceived, count)
            counters.add(.messages)
            connection.lastActivity = now.nanoseconds
            if lent.drained, connection.state.flags.isDisjoint(with: [.inputIsFinal, .inputHasUrgent]) {
                connection.state.flags.remove(.inputWaits)
            }
            corked = connection.token
            return .bytes(lent)
        case .wouldBlock:
            if let errno = connection.sendError { end(connection, brokenBy: errno) }
            connection.state.flags.subtract([.inputWaits, .inputHasUrgent])
            return .none
        case .endOfStream:
            if let errno = connection.sendError {
                end(connection, brokenBy: errno)
                return .none
            }
            connection.state.flags.subtract(.inputWaits)
            connection.state.flags.insert(.inputEnded)
            settleLater(connection)
            return .end
        case .failed(let errno):
            end(connection, brokenBy: connection.sendError ?? errno)
            return .none
        }
    }

    /// Nothing more is read, as if the peer had ended; what the task writes still goes out.
    func endInput(of connection: Connection) {
        connection.state.flags.subtract([.inputWaits])
        connection.state.flags.insert(.inputEnded)
        connection.reader.take()?.resume()
        settleLater(connection)
    }

    /// The task has seen the bytes: what it wrote meanwhile leaves.
    func pullEnded() { if corked != .none { sendWhatTaskWrote() } }

    /// Has `reader` resumed when input can be had: after an event, or in the next turn when it waits already.
    func awaitInput(of connection: Connection, _ reader: Suspension) {
        precondition(connection.reader == nil, "two tasks read from connection \(connection.connectionNumber)")
        connection.reader = reader
        readLaterIfNeeded(connection)
    }
}

/// How much a task has read from a connection in one turn: others want to be served, too.
struct PullBudget {
    private var turn: UInt64 = .max
    var used = 0

    mutating func left(in turn: UInt64, of limit: Int) -> Int {
        if turn != self.turn { (self.turn, used) = (turn, 0) }
        return limit - used
    }
}
