// SPDX-License-Identifier: Apache-2.0

internal import Histogram
internal import Spindle

/// The load of one reactor of the generator: its connections, its clockwork, its figures. Core-local.
final class LoadWorker {
    let plan: LoadPlan
    let reactor: Reactor
    let pattern = LoadPattern()
    private(set) var isSending = true
    private var connections: [ObjectIdentifier: LoadConnection] = [:]
    private var isMeasuring = false
    private var isFinishing = false
    private var histogram = Histogram<UInt64>(
        highestTrackableValue: 60_000_000_000,
        numberOfSignificantValueDigits: .three
    )
    private var messages = 0
    private var failure: LoadFailure?
    private var missing: Int
    private var whenConnected: (() -> Void)?
    private var whenFinished: (() -> Void)?
    private let progress: LoadProgress

    init(plan: LoadPlan, reactor: Reactor, connectionCount: Int, progress: LoadProgress) {
        self.plan = plan
        self.reactor = reactor
        self.progress = progress
        missing = connectionCount
    }

    /// Opens the connections; `completion` follows when all stand, or one has failed.
    func connect(firstNumber: Int, completion: @escaping () -> Void) {
        whenConnected = completion
        guard missing > 0 else { return connectedAll() }
        for number in firstNumber..<firstNumber + missing {
            reactor.connect(to: plan.address) { [self] transport in
                LoadConnection(transport, worker: self, number: number)
            } completion: { [self] result in
                if case .failure(let error) = result {
                    fail(.connect(error))
                    connectedAll()
                }
            }
        }
    }

    func connected(_ connection: LoadConnection) {
        connections[ObjectIdentifier(connection)] = connection
        missing -= 1
        if missing == 0 { connectedAll() }
    }

    private func connectedAll() { whenConnected.take()?() }

    /// Lets every connection send its first messages.
    func begin() {
        let now = reactor.readClock().nanoseconds
        for connection in connections.values { connection.send(plan.depth, at: now) }
    }

    func startMeasuring() {
        messages = 0
        histogram.reset()
        isMeasuring = true
    }

    /// Stops counting, then sending; `completion` follows when everything that was sent has come back.
    func finish(completion: @escaping () -> Void) {
        isMeasuring = false
        isSending = false
        isFinishing = true
        whenFinished = completion
        for connection in connections.values where connection.messagesOnTheWay == 0 {
            connection.transport.loseConnection()
        }
        if connections.isEmpty { whenFinished.take()?() }
        reactor.callLater(.seconds(5)) { [self] in
            guard whenFinished != nil else { return }
            let count = connections.values.reduce(0) { $0 + $1.messagesOnTheWay }
            fail(.lost(messages: count))
            for connection in connections.values { connection.transport.abortConnection() }
        }
    }

    func record(nanoseconds: UInt64) {
        if isMeasuring { _ = histogram.record(nanoseconds) }
    }

    func received(messages count: Int, on connection: LoadConnection) {
        if isMeasuring { messages += count }
        progress.add(count)
        if isFinishing, connection.messagesOnTheWay == 0 { connection.transport.loseConnection() }
    }

    func lost(_ connection: LoadConnection, _ reason: DisconnectReason) {
        connections[ObjectIdentifier(connection)] = nil
        if !isFinishing || connection.messagesOnTheWay > 0 {
            fail(.connectionLost(connection: connection.transport.connectionNumber, reason))
        }
        if connections.isEmpty { whenFinished.take()?() }
    }

    /// Only the first failure counts: the others follow from it.
    func fail(_ failure: LoadFailure) {
        if self.failure == nil { self.failure = failure }
    }

    var hasFailed: Bool { failure != nil }

    var result: LoadWorkerResult {
        LoadWorkerResult(messages: messages, histogram: histogram, failure: failure)
    }
}

/// What one reactor of the generator has measured.
struct LoadWorkerResult: Sendable {
    let messages: Int
    let histogram: Histogram<UInt64>
    let failure: LoadFailure?
}
