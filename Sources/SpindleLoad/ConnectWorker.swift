// SPDX-License-Identifier: Apache-2.0

internal import Spindle

/// Connections that are opened for one message each and closed when it has come back; a connection's latency counts
/// from when its opening began or, in an open loop, was due.
final class ConnectWorker: LoadWorker {
    let plan: LoadPlan
    let reactor: Reactor
    let recorder: LoadRecorder
    let pattern = LoadPattern()
    let sizes: [Int]
    private let numbers: Range<Int>
    private var clockwork: Clockwork?
    /// Of each place: how many connections have been due and how many were opened.
    private var due: [Int], opened: [Int]
    private var isBusy: [Bool]
    private var busyCount = 0
    private var isSending = false
    private var whenFinished: (() -> Void)?

    /// - Parameter numbers: Which of the load's connections, that are open at once, are this worker's.
    init(_ plan: LoadPlan, _ reactor: Reactor, _ numbers: Range<Int>, _ recorder: LoadRecorder) {
        self.plan = plan
        self.reactor = reactor
        self.numbers = numbers
        self.recorder = recorder
        sizes = plan.sizes.drawn()
        due = Array(repeating: 0, count: numbers.count)
        opened = due
        isBusy = Array(repeating: false, count: numbers.count)
    }

    func prepare(completion: @escaping () -> Void) { completion() }

    func begin() {
        isSending = true
        let now = reactor.readClock().nanoseconds
        switch plan.pace {
        case .closed:
            for index in numbers.indices { open(index - numbers.lowerBound, from: now) }
        case .open(let rate):
            let schedule = SendSchedule(of: plan, messagesPerSecond: rate, for: numbers, start: now)
            let clockwork = Clockwork(reactor, schedule) { [self] index, count in
                due[index] += count
                openDue(index)
            }
            self.clockwork = clockwork
            clockwork.start()
        }
    }

    /// Opens the next connection of a place, if one is due and the one before it has ended.
    private func openDue(_ index: Int) {
        guard let clockwork, !isBusy[index], opened[index] < due[index] else { return }
        open(index, from: clockwork.due(opened[index], of: index))
    }

    private func open(_ index: Int, from start: UInt64) {
        isBusy[index] = true
        busyCount += 1
        // Every connection has another part of the pattern, and other ports than the one before it.
        let number = numbers.lowerBound + index + opened[index] * plan.connections
        opened[index] += 1
        reactor.connect(to: plan.address, from: plan.source(of: number)) { [self] transport in
            OneMessage(transport, worker: self, number: number, index: index, start: start)
        } completion: { [self] result in
            guard case .failure(let error) = result else { return }
            recorder.fail(.connect(error))
            ended(index)
        }
    }

    /// The connection of a place has ended.
    func ended(_ index: Int) {
        isBusy[index] = false
        busyCount -= 1
        guard isSending, recorder.failure == nil else {
            if busyCount == 0 { whenFinished.take()?() }
            return
        }
        if plan.pace.isOpen { openDue(index) } else { open(index, from: reactor.readClock().nanoseconds) }
    }

    func finish(completion: @escaping () -> Void) {
        let now = reactor.readClock().nanoseconds
        recorder.end(at: now)
        isSending = false
        clockwork?.stop()
        whenFinished = completion
        for index in due.indices where due[index] > opened[index] {
            recorder.recordUnsent(due[index] - opened[index], at: now) { [opened] in
                clockwork?.due(opened[index] + $0, of: index) ?? now
            }
        }
        if busyCount == 0 { whenFinished.take()?() }
        awaitTheRest(after: recorder.receivedCount)
    }

    /// Gives up when nothing has come back for a while.
    private func awaitTheRest(after received: Int) {
        reactor.callLater(LoadPlan.patience) { [self] in
            guard whenFinished != nil else { return }
            guard recorder.receivedCount == received else { return awaitTheRest(after: recorder.receivedCount) }
            recorder.fail(.lost(messages: busyCount))
            whenFinished.take()?()
        }
    }
}

/// A connection that sends one message and closes when it has come back.
private final class OneMessage: StreamProtocol {
    let transport: any StreamTransport
    private let worker: ConnectWorker
    private let index: Int
    private let start: UInt64
    private var stream: CheckedStream

    init(_ transport: any StreamTransport, worker: ConnectWorker, number: Int, index: Int, start: UInt64) {
        self.transport = transport
        self.worker = worker
        self.index = index
        self.start = start
        let window = MessageWindow(depth: 1, sizes: [worker.sizes[number % worker.sizes.count]])
        stream = CheckedStream(number: number, window)
    }

    func connectionMade() {
        let length = stream.send(at: start)
        worker.pattern.write(length, before: stream.nextOffset, to: transport)
    }

    func dataReceived(_ bytes: Span<UInt8>) {
        let now = worker.reactor.readClock().nanoseconds
        let finished = stream.receive(bytes, of: worker.pattern, at: now, worker.recorder, from: transport)
        guard finished > 0 else { return }
        worker.recorder.received(messages: 1, at: now)
        // Whoever closes first keeps the port for a minute: over loopback there are enough, elsewhere a reset frees it.
        if worker.plan.isLoopback { transport.loseConnection() } else { transport.abortConnection() }
    }

    func connectionLost(_ reason: DisconnectReason) {
        if stream.window.onTheWay > 0 {
            worker.recorder.fail(.connectionLost(connection: transport.connectionNumber, reason))
        }
        worker.ended(index)
    }
}
