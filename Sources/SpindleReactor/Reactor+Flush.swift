// SPDX-License-Identifier: Apache-2.0

internal import SpindleCore

extension Reactor {
    /// Sends what this turn wrote to connections outside of their own callbacks, closes what ended, rings bells.
    func flush() {
        if !flushList.isEmpty { flushOutput() }
        if counters[.bufferedBytes] > UInt64(configuration.reactorWriteLimitBytes) { shedOverReactorLimit() }
        if !closeQueue.isEmpty { closeEnded() }
        if usesDatagrams { flushDatagrams() }
        // Before the wait, which may be long; no event or timer is being worked on that borrows one of them.
        if table.hasRemoved { _ = table.takeRemoved() }
        if isEnding, drained != nil, table.count == 0 { drained.take()?() }
        // Last: whatever this phase has sent is shown before the reactor sleeps.
        flushMail()
        recorder.end(.flush)
    }

    private func flushOutput() {
        // Callbacks of this phase may write to further connections: those are settled in it, too, but only once
        // each, so that two protocols that answer each other cannot keep the turn from ending.
        var batch = ContiguousArray<Connection>()
        swap(&batch, &flushList)
        for connection in batch {
            connection.state.flags.remove(.onFlushList)
            connection.sendQueue()
            settle(connection)
        }
    }

    /// Has the connection settled at flush, or at the end of its own callback when that is running.
    func settleLater(_ connection: Connection) { if corked != connection.token { settleInNextTurn(connection) } }

    /// Has what is left of it sent and settled at the next flush that has not begun.
    func settleInNextTurn(_ connection: Connection) {
        guard !connection.state.flags.contains(.onFlushList) else { return }
        connection.state.flags.insert(.onFlushList)
        flushList.append(connection)
    }

    /// Does what follows from the connection's state, until nothing does.
    @inline(__always)
    func settle(_ connection: Connection) {
        guard connection.state.isPlain else { return act(on: connection) }
        assert(connection.queue.isEmpty, "unsent bytes, and no flag says so")
    }

    private func act(on connection: Connection) {
        if connection.state.flags.contains(.hasProducer), !connection.state.acceptsWrites {
            enter(connection) { _ in connection.stopProducer() }
        }
        var hasDrained = false
        while true {
            // Once: a protocol that writes on when told so goes on in the next turn, or it could fill this one.
            if hasDrained, connection.state.flags.contains(.outputWaited) { return settleLater(connection) }
            let queue = (unsent: connection.queue.unsentByteCount, weight: connection.queue.weight)
            switch connection.state.nextAction(unsentBytes: queue.unsent, weight: queue.weight, limits: configuration) {
            case .nothing: return
            case .abortOverLimit:
                counters.add(.writeLimitAborts)
                end(connection, .writeLimitExceeded, reset: true)
            case .highWatermark:
                notify(connection) { proto throws in try proto.highWatermarkReached() }
                connection.tellProducer(toPause: true)
            case .lowWatermark:
                readLaterIfNeeded(connection)
                notify(connection) { proto throws in try proto.lowWatermarkReached() }
                connection.tellProducer(toPause: false)
            case .drained:
                hasDrained = true
                notify(connection) { proto throws in try proto.writeDrained() }
                connection.producerHasRoom()
            case .endOutput:
                driver.shutdownWrites(of: connection.handle)
                notify(connection) { proto throws in try proto.writeConnectionLost() }
            case .close:
                closeLater(connection, .done, reset: false)
            }
        }
    }

    /// A callback out of `settle`, which goes on with whatever it leads to.
    private func notify(_ connection: Connection, _ body: (any StreamProtocol) throws -> Void) {
        // After `loseConnection` the protocol waits for nothing but `connectionLost`.
        if connection.state.phase == .open { enter(connection, body) }
    }

    /// The cap on all unsent bytes of the reactor: the connection with the most goes first.
    private func shedOverReactorLimit() {
        while counters[.bufferedBytes] > UInt64(configuration.reactorWriteLimitBytes) {
            let largest = table.all.filter(\.state.isLive).max { $0.queue.byteCount < $1.queue.byteCount }
            guard let largest, !largest.queue.isEmpty else { return }
            counters.add(.writeLimitAborts)
            write(
                .warning,
                "aborted: it held the most of more than \(configuration.reactorWriteLimitBytes) unsent bytes",
                about: largest
            )
            end(largest, .writeLimitExceeded, reset: true)
        }
    }
}
