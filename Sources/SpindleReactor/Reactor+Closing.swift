// SPDX-License-Identifier: Apache-2.0

internal import SpindleCore

extension Reactor {
    /// Ends the connection for a reason that does not wait for unsent bytes; the first reason stands.
    func end(_ connection: Connection, _ reason: DisconnectReason, reset: Bool) {
        guard connection.state.end() else { return }
        dropOutput(of: connection)
        closeLater(connection, reason, reset: reset)
    }

    /// Puts a connection whose state says that it is over into the close queue.
    func closeLater(_ connection: Connection, _ reason: DisconnectReason, reset: Bool) {
        connection.ending = Ending(reason: reason, reset: reset)
        closeQueue.append(connection)
    }

    /// Ends the connection because the network did.
    func end(_ connection: Connection, brokenBy errno: Errno) {
        counters.add(errno)
        end(connection, .lost(errno), reset: true)
    }

    func dropOutput(of connection: Connection) {
        counters.add(.bufferedBytes, -connection.queue.byteCount)
        connection.queue.removeAll()
        connection.extras?.passing.dropDeparting()
        connection.giveBackReservations()
        if corked == connection.token { cork.removeAll() }
    }

    /// Tells protocols that their connections ended, and closes these: a budget's worth, the rest next turn.
    func closeEnded() {
        var closed = 0
        while closed < configuration.closeBudget, let connection = closeQueue.popFirst() {
            closed += 1
            finish(connection)
        }
        counters.raise(.mostClosesPerTurn, to: UInt64(closed))
        if !closeQueue.isEmpty { counters.add(.closeBudgetExhausted) }
    }

    private func finish(_ connection: Connection) {
        guard let ending = connection.ending.take() else { return }
        connection.rememberLocalAddress()
        cancelTimer(of: connection)
        tellLost(connection, ending.reason)
        if let travel = connection.travel.take() { return depart(connection, travel) }
        if case .done = ending.reason, connection.state.needsLinger, configuration.lingerTimeout > .zero {
            linger(connection)
        } else if !ending.reset, connection.hasSendsInPlace {
            linger(connection)
        } else {
            close(connection, reset: ending.reset)
        }
    }

    private func tellLost(_ connection: Connection, _ reason: DisconnectReason) {
        if let established = connection.extras?.established.take() { return established(reason) }
        // Behind the protocol: C3.
        let lost = connection.extras?.lost.take()
        defer { lost?(reason) }
        guard let proto = connection.proto.take() else { return }
        counters.add(.liveProtocols, -1)
        if strikes(.untoldEnd) { return }
        // A callback like the others, though nothing that it writes to this connection is taken.
        let outer = corked
        corked = connection.token
        defer { corked = outer }
        if connection.state.flags.contains(.hasProducer) { connection.stopProducer() }
        do { try proto.connectionLost(reason) } catch {
            write(.error, "connectionLost threw \(error)", about: connection)
        }
    }

    /// Tells the peer that no more comes, and takes its input away until it closes, for a limited time.
    private func linger(_ connection: Connection) {
        connection.state.linger()
        if !connection.state.flags.contains(.outputEnded) { driver.shutdownWrites(of: connection.handle) }
        armTimer(of: connection, since: now)
        discardInput(of: connection)
    }

    func discardInput(of connection: Connection) {
        var budget = configuration.readBudgetBytes
        while budget > 0 {
            counters.add(.receives)
            switch receive(from: connection, limit: budget) {
            case .bytes(let lent):
                budget -= unsafe lent.pointer.count
                if lent.drained, connection.state.flags.isDisjoint(with: [.inputIsFinal, .inputHasUrgent]) { return }
            case .wouldBlock: return
            case .endOfStream:
                connection.state.flags.insert(.inputEnded)
                return connection.hasSendsInPlace ? () : close(connection, reset: false)
            case .failed: return close(connection, reset: false)
            }
        }
        // More waits: the next turn goes on, until the linger timeout ends it.
        guard !connection.state.flags.contains(.onReadyList) else { return }
        connection.state.flags.insert(.onReadyList)
        readyList.append(connection)
    }

    func close(_ connection: Connection, reset: Bool) {
        // What would be sent from there after its memory is somebody else's is dropped.
        let reset = keepSendsInPlace(of: connection) || reset
        cancelTimer(of: connection)
        connection.state.closed()
        // What others hold too is reported until it is removed, closed or not. epoll(7), question 6.
        if connection.state.flags.contains(.adopted) { driver.unwatch(descriptor: connection.handle.rawValue) }
        if !strikes(.leakedDescriptor) { driver.close(connection.handle, reset: reset) }
        counters.add(.closed)
        forget(connection)
    }

    /// The connection is not here any more.
    func forget(_ connection: Connection) {
        // Not with the connection: a protocol may have been kept, and its transport with it.
        connection.extras = nil
        table.remove(connection.token)
        counters.add(.openConnections, -1)
        handle.takeFromLoad()
    }

    /// Calls `loseConnection` on every connection, and `completion` once the last of them is closed.
    ///
    /// What is still being established ends at once, and so does what this side begins from now on.
    package func drain(completion: @escaping () -> Void) {
        preconditionCurrent()
        isEnding = true
        for attempt in attempts { attempt.fail(.engineStopped) }
        closePorts()
        for connection in table.all where connection.state.phase == .connecting {
            end(connection, .engineStopped, reset: true)
        }
        for connection in served {
            if strikes(.hastyDrain, every: 1) { end(connection, .done, reset: false) } else { endSoon(connection) }
        }
        drained = completion
    }

    /// What was written still goes out; a task sees the end of the bytes.
    func endSoon(_ connection: Connection) {
        if connection.state.flags.contains(.pulled) {
            endInput(of: connection)
        } else {
            connection.loseConnection()
        }
    }

    /// The last step of a stop: what is still open ends now, with `.engineStopped`.
    package func endAllConnections() {
        preconditionCurrent()
        isEnding = true
        for attempt in attempts { attempt.fail(.engineStopped) }
        for connection in table.all {
            if connection.state.phase == .lingering {
                close(connection, reset: false)
            } else {
                end(connection, .engineStopped, reset: true)
            }
        }
        while !closeQueue.isEmpty { closeEnded() }
        for connection in table.all { close(connection, reset: false) }
        drained.take()?()
    }
}
