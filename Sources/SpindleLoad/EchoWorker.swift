// SPDX-License-Identifier: Apache-2.0

internal import Spindle

/// Echoes over connections that stay.
final class EchoWorker: LoadWorker {
    let plan: LoadPlan
    let reactor: Reactor
    let recorder: LoadRecorder
    let pattern = LoadPattern()
    let sizes: [Int]
    /// False when no message follows one that has come back.
    private(set) var isSending = false
    /// By place; nil before one stands and after it is lost.
    private var connections: [EchoConnection?]
    private let numbers: Range<Int>
    private var clockwork: Clockwork?
    private var missing: Int
    private var openCount = 0
    private var whenPrepared: (() -> Void)?
    private var whenFinished: (() -> Void)?
    private var isFinishing = false

    /// - Parameter numbers: Which of the load's connections are this worker's.
    init(_ plan: LoadPlan, _ reactor: Reactor, _ numbers: Range<Int>, _ recorder: LoadRecorder) {
        self.plan = plan
        self.reactor = reactor
        self.numbers = numbers
        self.recorder = recorder
        sizes = plan.sizes.drawn()
        missing = numbers.count
        connections = Array(repeating: nil, count: numbers.count)
    }

    func prepare(completion: @escaping () -> Void) {
        whenPrepared = completion
        guard missing > 0 else { return prepared() }
        if plan.greets { awaitGreetings(after: 0) }
        for number in numbers {
            reactor.connect(to: plan.address, from: plan.source(of: number)) { [self] transport in
                EchoConnection(transport, worker: self, number: number, index: number - numbers.lowerBound)
            } completion: { [self] result in
                if case .failure(let error) = result {
                    recorder.fail(.connect(error))
                    prepared()
                }
            }
        }
    }

    func stopPreparing() { prepared() }

    private func prepared() { whenPrepared.take()?() }

    func connected(_ connection: EchoConnection) {
        connections[connection.index] = connection
        openCount += 1
        guard !isFinishing else { return connection.transport.loseConnection() }
        if plan.greets { connection.greet(at: reactor.readClock().nanoseconds) } else { isReady() }
    }

    /// One more connection has done what it does before the load.
    private func isReady() {
        missing -= 1
        if missing == 0 { prepared() }
    }

    /// Gives up when neither a connection nor a greeting has come for a while.
    private func awaitGreetings(after seen: Int) {
        reactor.callLater(LoadPlan.patience) { [self] in
            guard whenPrepared != nil else { return }
            guard openCount == 0 || openCount + recorder.receivedCount > seen else {
                recorder.fail(.lost(messages: missing))
                return prepared()
            }
            awaitGreetings(after: openCount + recorder.receivedCount)
        }
    }

    func lost(_ connection: EchoConnection, _ reason: DisconnectReason) {
        connections[connection.index] = nil
        openCount -= 1
        if whenFinished == nil || connection.messagesOnTheWay > 0 {
            recorder.fail(.connectionLost(connection: connection.transport.connectionNumber, reason))
            prepared()
        }
        if openCount == 0 { whenFinished.take()?() }
    }

    func begin() {
        isSending = true
        let now = reactor.readClock().nanoseconds
        switch plan.pace {
        case .closed:
            for connection in connections { connection?.send(plan.depth, at: now) }
        case .open(let rate):
            let schedule = SendSchedule(of: plan, messagesPerSecond: rate, for: numbers, start: now)
            let clockwork = Clockwork(reactor, schedule) { [self] index, count in
                connections[index]?.messagesAreDue(count)
            }
            self.clockwork = clockwork
            clockwork.start()
        }
    }

    /// When message `round` of a connection of this worker is due.
    func due(_ round: Int, of index: Int) -> UInt64 { clockwork?.due(round, of: index) ?? 0 }

    func received(messages count: Int, at now: UInt64, on connection: EchoConnection) {
        recorder.received(messages: count, at: now)
        if whenPrepared != nil { isReady() }
        if whenFinished != nil, connection.messagesOnTheWay == 0 { connection.transport.loseConnection() }
    }

    func finish(completion: @escaping () -> Void) {
        let now = reactor.readClock().nanoseconds
        recorder.end(at: now)
        isSending = false
        isFinishing = true
        clockwork?.stop()
        whenFinished = completion
        for connection in connections {
            connection?.giveUpWaiting(at: now)
            if let connection, connection.messagesOnTheWay == 0 { connection.transport.loseConnection() }
        }
        if openCount == 0 { whenFinished.take()?() }
        awaitTheRest(after: recorder.receivedCount)
    }

    /// Gives up when nothing has come back for a while: a server that is far behind may take longer for all of it.
    private func awaitTheRest(after received: Int) {
        reactor.callLater(LoadPlan.patience) { [self] in
            guard whenFinished != nil else { return }
            guard recorder.receivedCount == received else { return awaitTheRest(after: recorder.receivedCount) }
            let count = connections.reduce(0) { $0 + ($1?.messagesOnTheWay ?? 0) }
            recorder.fail(.lost(messages: count))
            for connection in connections { connection?.transport.abortConnection() }
        }
    }
}
