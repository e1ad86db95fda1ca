// SPDX-License-Identifier: Apache-2.0

internal import SpindleCore
internal import SpindleSystem

extension Reactor {
    /// Handles the batch of events, then what earlier turns left unread.
    func dispatch() {
        // What is on these lists now was left by earlier turns; what this batch leaves waits for the next one.
        let (leftConnections, leftListeners) = (readyList.count, readyAcceptors.count)
        let leftPorts = usesDatagrams ? readyPorts.count : 0
        let count = events.count
        counters.add(.events, count)
        var sinceGlance = 0
        for index in 0..<count {
            if index + 1 < count { table.prefetch(events[index + 1].token) }
            handle(events[index])
            if !tasks.isEmpty { runTasks(atMost: Reactor.tasksPerEvent) }
            glance(&sinceGlance)
        }
        if leftConnections > 0 { readOn(leftConnections, &sinceGlance) }
        if leftListeners > 0 { acceptOn(leftListeners) }
        if leftPorts > 0 { readDatagramsOn(leftPorts) }
        recorder.note(eventCount: count)
        recorder.end(.dispatch)
    }

    /// Reads from the first so many connections of the ready list.
    @inline(never)
    private func readOn(_ count: Int, _ sinceGlance: inout Int) {
        let left = ContiguousArray(readyList[..<count])
        readyList.removeFirst(count)
        for connection in left {
            connection.state.flags.remove(.onReadyList)
            if connection.state.phase == .lingering {
                discardInput(of: connection)
            } else if connection.state.flags.contains(.inputWaits) {
                readInput(of: connection)
            }
            if !tasks.isEmpty { runTasks(atMost: Reactor.tasksPerEvent) }
            glance(&sinceGlance)
        }
    }

    /// Accepts from the first so many listeners that had connections left.
    @inline(never)
    private func acceptOn(_ count: Int) {
        let left = ContiguousArray(readyAcceptors[..<count])
        readyAcceptors.removeFirst(count)
        for acceptor in left {
            acceptor.isOnReadyList = false
            accept(from: acceptor)
        }
    }

    /// Mail from other cores does not wait for the end of a long batch.
    @inline(__always)
    private func glance(_ sinceGlance: inout Int) {
        sinceGlance += 1
        guard sinceGlance == configuration.eventsPerMailGlance else { return }
        sinceGlance = 0
        if doorbell.isRung { takeMail() }
    }

    @inline(__always)
    private func handle(_ event: DriverEvent) {
        if let index = event.token.listenerIndex { return acceptEvent(ofListener: index) }
        guard let connection = table.resolve(event.token) else { return specialEvent(event) }
        connection.use {
            if $0.state.isPlain, event.readiness.isPlainInput {
                readInput(of: $0)
            } else {
                handle(event.readiness, of: $0)
            }
        }
    }

    @inline(never)
    private func acceptEvent(ofListener index: Int) {
        guard index < acceptors.count, let acceptor = acceptors[index] else { return counters.add(.staleEvents) }
        accept(from: acceptor)
    }

    @inline(never)
    private func handle(_ readiness: Readiness, of connection: Connection) {
        let readiness = takeCompletions(of: connection, readiness)
        if readiness.contains(.writable), !strikes(.unnoticedRoom) {
            connection.state.flags.remove(.outputBlocked)
            if !connection.queue.isEmpty {
                connection.sendQueue()
                settle(connection)
            } else if connection.state.phase == .connecting {
                return finishConnecting(connection, readiness)
            }
        } else if connection.state.phase == .connecting, !readiness.isDisjoint(with: .final) {
            return finishConnecting(connection, readiness)
        }
        if !readiness.isDisjoint(with: .input) { inputEvent(on: connection, readiness) }
    }

    private func inputEvent(on connection: Connection, _ readiness: Readiness) {
        let isFinal = !readiness.isDisjoint(with: .final)
        if isFinal { connection.state.flags.insert(.inputIsFinal) }
        if readiness.contains(.urgent) { connection.state.flags.insert(.inputHasUrgent) }
        if connection.state.mayRead { return readInput(of: connection) }
        connection.state.flags.insert(.inputWaits)
        // Held by a limit, it will come to the error by itself, behind what came before.
        if connection.state.willRead { return }
        switch connection.state.phase {
        case .lingering: return discardInput(of: connection)
        case .open, .draining:
            // Paused, or ended: nobody is going to read the error, so it is asked for.
            if let errno = connection.sendError { return end(connection, brokenBy: errno) }
            guard readiness.contains(.error), let errno = driver.takeError(of: connection.handle) else { return }
            end(connection, brokenBy: errno)
        case .connecting, .closing, .closed: return
        }
    }

    /// Hands input to the protocol until there is none, the budget ends, or the protocol has enough.
    private func readInput(of connection: Connection) {
        guard connection.state.flags.isDisjoint(with: .uncommonInput) else { return readUncommonInput(of: connection) }
        _ = readInput(of: connection, atMost: configuration.readBudgetBytes, areAll: false)
    }

    @inline(never)
    private func readUncommonInput(of connection: Connection) {
        if connection.state.flags.contains(.pulled) { return offerInput(of: connection) }
        if connection.state.flags.contains(.inputKept) { return deliverKept(to: connection) }
        connection.pacingInput(upTo: configuration.readBudgetBytes) { granted, areAll in
            readInput(of: connection, atMost: granted, areAll: areAll)
        }
    }

    /// - Parameter areAll: No more bytes wait than may be read.
    /// - Returns: The bytes that were read.
    @inline(__always)
    private func readInput(of connection: Connection, atMost granted: Int, areAll: Bool) -> Int {
        var budget = granted
        while connection.state.mayRead, !connection.state.flags.contains(.inputKept) {
            guard budget > 0 else {
                if areAll, connection.state.flags.isDisjoint(with: .moreMayWait) {
                    // What came since then has an edge of its own.
                    connection.state.flags.subtract(.inputWaits)
                    return granted
                }
                counters.add(.readBudgetExhausted)
                if !strikes(.forgottenInput, every: 2) { connection.state.flags.insert(.inputWaits) }
                readLaterIfNeeded(connection)
                return granted
            }
            counters.add(.receives)
            switch receive(from: connection, limit: budget) {
            case .bytes(let lent):
                let count = unsafe lent.pointer.count
                budget -= count
                counters.add(.bytesReceived, count)
                counters.add(.messages)
                connection.lastActivity = now.nanoseconds
                deliver(lent, to: connection)
                // A short read means drained (epoll(7)), unless no further edge will come, or it stopped at a mark;
                // what was put back comes first.
                if lent.drained, connection.state.flags.isDisjoint(with: .moreMayWait) {
                    connection.state.flags.subtract(.inputWaits)
                    return granted - budget
                }
            case .wouldBlock:
                connection.state.flags.subtract([.inputWaits, .inputHasUrgent])
                // Not an error that breaks reading, too (ENOBUFS, a sandbox's EPERM): what was dropped is missed.
                if let errno = connection.sendError { end(connection, brokenBy: errno) }
                return granted - budget
            case .endOfStream:
                if let errno = connection.sendError {
                    end(connection, brokenBy: errno)
                } else {
                    inputEnded(of: connection)
                }
                return granted - budget
            case .failed(let errno):
                end(connection, brokenBy: connection.sendError ?? errno)
                return granted - budget
            }
        }
        // Paused or closing, or bytes were put back, and no edge will announce what may be left.
        if !strikes(.forgottenInput, every: 2) { connection.state.flags.insert(.inputWaits) }
        readLaterIfNeeded(connection)
        return granted - budget
    }

    @inline(__always)
    private func deliver(_ lent: LentBytes, to connection: Connection) {
        call(connection) { proto throws in
            // Valid: the driver is not called again before the callback's writes are sent, and those are copies
            // or, for large pieces, sent before `write` returns.
            if let error = proto._deliver(unsafe lent.pointer.span) { throw error }
        }
    }

    private func inputEnded(of connection: Connection) {
        connection.state.flags.subtract(.inputWaits)
        connection.state.flags.insert(.inputEnded)
        call(connection) { proto throws in try proto.readConnectionLost() }
    }

    /// Puts the connection on the list of those to read from in the next turn, when it has unread input.
    func readLaterIfNeeded(_ connection: Connection) {
        guard connection.state.mayRead, connection.state.flags.contains(.inputWaits),
            !connection.state.flags.contains(.onReadyList)
        else { return }
        connection.state.flags.insert(.onReadyList)
        readyList.append(connection)
    }

    // MARK: Callbacks

    /// Runs one callback of the connection's protocol, then does what follows from it.
    @inline(__always)
    func call(_ connection: Connection, _ body: (any StreamProtocol) throws -> Void) {
        enter(connection, body)
        settle(connection)
    }

    /// Runs one callback of the connection's protocol, then sends what it wrote.
    @inline(__always)
    func enter(_ connection: Connection, _ body: (any StreamProtocol) throws -> Void) {
        // Taken out and put back: counting a reference to it would cost each event two atomic operations.
        guard let proto = connection.proto.take() else { return }
        corked = connection.token
        let start = SystemClock.ticks()
        do { try body(proto) } catch { fail(connection, error) }
        let ticks = SystemClock.ticks() &- start
        if ticks > longestCallbackTicks { noteLongestCallback(ticks, of: proto) }
        connection.giveBack(consume proto)
        if connection.state.isLive { connection.sendCork() } else { cork.removeAll() }
        corked = .none
    }

    @inline(never)
    func noteLongestCallback(_ ticks: UInt64, of proto: AnyObject) {
        longestCallbackTicks = ticks
        recorder.noteLongestCallback(ticks, of: proto)
    }

    @inline(never)
    private func fail(_ connection: Connection, _ error: any Error) {
        counters.add(.failedCallbacks)
        write(.error, "a callback threw \(error)", about: connection)
        end(connection, .failed(error), reset: false)
    }

    @inline(never)
    func write(_ level: LogLevel, _ message: String, about connection: Connection) {
        let record = LogRecord(
            level: level,
            message: message,
            reactor: index,
            connection: connection.connectionNumber,
            peer: connection.peerAddress
        )
        log.write(record)
    }
}
