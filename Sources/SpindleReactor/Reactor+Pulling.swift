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
extension Connection {
    /// Takes bytes for a task that asks for them, at most what it may still read in this turn.
    func pull() -> PullOutcome {
        reactor.preconditionCurrent()
        if reactor.isRunningStep, reactor.corked != .none { reactor.sendWhatTaskWrote() }
        guard mayPull else {
            // This side closes, or the end was read. A connection that broke is none of it: its error follows.
            return state.phase == .draining || state.flags.contains(.inputEnded) || withholdsInput ? .end : .none
        }
        if state.flags.contains(.inputKept) { return lendKept() }
        beginShare()
        let limit = reactor.configuration.readBudgetBytes - pulledBytes
        guard limit > 0 else {
            reactor.counters.add(.readBudgetExhausted)
            return .none
        }
        guard state.flags.contains(.inputPaced) else { return pull(atMost: limit) }
        var outcome = PullOutcome.none
        pacingInput(upTo: limit) { granted, areAll in
            let before = pulledBytes
            outcome = pull(atMost: granted)
            let count = pulledBytes - before
            if areAll, count == granted, state.flags.isDisjoint(with: .moreMayWait) { state.flags.remove(.inputWaits) }
            return count
        }
        return outcome
    }

    @inline(__always)
    private func pull(atMost limit: Int) -> PullOutcome {
        reactor.counters.add(.receives)
        switch reactor.receive(from: self, limit: limit) {
        case .bytes(let lent):
            let count = unsafe lent.pointer.count
            pulledBytes += count
            reactor.counters.add(.bytesReceived, count)
            reactor.counters.add(.messages)
            lastActivity = reactor.now.nanoseconds
            if lent.drained, state.flags.isDisjoint(with: [.inputIsFinal, .inputHasUrgent]) {
                state.flags.remove(.inputWaits)
            }
            // Within a callback, by `Task.immediate`, the cork is the callback's.
            if reactor.isRunningStep { reactor.corked = token }
            return .bytes(lent)
        case .wouldBlock:
            state.flags.subtract([.inputWaits, .inputHasUrgent])
            if let errno = sendError { reactor.end(self, brokenBy: errno) }
            return .none
        case .endOfStream: return pullEnd()
        case .failed(let errno):
            reactor.end(self, brokenBy: sendError ?? errno)
            return .none
        }
    }

    /// What came along from another reactor, before all that the kernel has.
    @inline(never)
    private func lendKept() -> PullOutcome {
        guard let chunk = takeKept(atMost: reactor.configuration.receiveBufferBytes) else { return .none }
        lent = chunk
        reactor.counters.add(.messages)
        if reactor.isRunningStep { reactor.corked = token }
        // The connection holds the chunk until it lends another one.
        let bytes = unsafe UnsafeBufferPointer(
            start: chunk.baseAddress.assumingMemoryBound(to: UInt8.self),
            count: chunk.count
        )
        return unsafe .bytes(LentBytes(bytes, drained: false))
    }

    @inline(never)
    private func pullEnd() -> PullOutcome {
        if let errno = sendError {
            reactor.end(self, brokenBy: errno)
            return .none
        }
        state.flags.subtract(.inputWaits)
        state.flags.insert(.inputEnded)
        reactor.settleLater(self)
        return .end
    }

    /// The task has seen the bytes: what it wrote meanwhile leaves.
    func pullEnded() {
        guard reactor.corked == token else { return }
        if state.isLive { sendCork() } else { reactor.cork.removeAll() }
        reactor.corked = .none
        reactor.settle(self)
    }

    /// What a task may read and write in a turn, and what is sent of files, is counted anew in each.
    func beginShare() {
        let turn = reactor.counters[.turns]
        if shareTurn != turn { (shareTurn, pulledBytes, pushedBytes, fileBytes) = (turn, 0, 0, 0) }
    }

    /// Counts what a task wrote: true when it was as much as may be read in a turn.
    func hasHadItsShare(afterWriting count: Int) -> Bool {
        beginShare()
        pushedBytes += count
        return pushedBytes > reactor.configuration.readBudgetBytes
    }

    /// True when bytes may wait that may be shown. Above the high watermark nothing is.
    private var mayPull: Bool {
        state.mayRead && state.flags.contains(.inputWaits) && !state.flags.contains(.aboveWatermark) && !withholdsInput
    }

    /// What a step of a task writes from now on leaves when the step ends, as with a callback. What a timer or a job
    /// writes leaves at flush.
    func beginStep() {
        reactor.preconditionCurrent()
        if reactor.isRunningStep, reactor.corked == .none { reactor.corked = token }
    }

    /// Has `reader` run when input can be had: after an event, or in the next turn when it waits already.
    func awaitInput(_ reader: UnownedJob) {
        reactor.preconditionCurrent()
        precondition(self.reader == nil, "two tasks read from connection \(connectionNumber)")
        self.reader = reader
        if mayPull { reactor.readLaterIfNeeded(self) }
    }
}

extension Reactor {
    /// Input has come, or the end.
    func offerInput(of connection: Connection) {
        guard connection.state.isLive else { return }
        connection.state.flags.insert(.inputWaits)
        if let reader = connection.reader.take() {
            // Behind those that could go on before it.
            return tasks.isEmpty && !isRunningStep ? runStep(reader) : tasks.append(reader)
        }
        // Nobody reads: a connection that broke is noticed all the same. One that only can't be written to ends when
        // what came before was read.
        guard connection.state.flags.contains(.inputIsFinal), connection.sendError == nil,
            let errno = driver.takeError(of: connection.handle)
        else { return }
        end(connection, brokenBy: errno)
    }

    /// Nothing more is read, as if the peer had ended; what the task writes still goes out.
    func endInput(of connection: Connection) {
        connection.withholdsInput = true
        if let reader = connection.reader.take() { tasks.append(reader) }
        (connection.proto as? HandlerProtocol)?.stream.whenDraining?()
    }
}
