// SPDX-License-Identifier: Apache-2.0

internal import Spindle

/// Echoes of datagrams: each peer is a UDP socket of its own. What does not come back in time is lost, which is
/// counted and no failure.
final class DatagramWorker: LoadWorker {
    let plan: LoadPlan
    let reactor: Reactor
    let recorder: LoadRecorder
    let pattern = LoadPattern()
    let sizes: [Int]
    /// False when nothing follows what has come back.
    private(set) var isSending = false
    private var peers: [LoadPeer] = []
    private let numbers: Range<Int>
    private var clockwork: Clockwork?
    private var losses: RepeatingTimer?
    private var whenFinished: (() -> Void)?
    /// The server has answered once: who does not answer later has lost something.
    private var hasAnswered = false

    /// How long a datagram may be on its way.
    static let lossLimit = Duration.milliseconds(500)

    /// - Parameter numbers: Which of the load's peers are this worker's.
    init(_ plan: LoadPlan, _ reactor: Reactor, _ numbers: Range<Int>, _ recorder: LoadRecorder) {
        self.plan = plan
        self.reactor = reactor
        self.numbers = numbers
        self.recorder = recorder
        sizes = plan.sizes.drawn()
    }

    func prepare(completion: @escaping () -> Void) {
        var options = DatagramOptions()
        // A buffer that overflows is the generator's loss and not the server's.
        options.settings = [SocketSetting(.receiveBuffer, 1 << 20)].compactMap(\.self)
        do throws(DatagramError) {
            for number in numbers {
                try reactor.openUDP(on: plan.source(of: number), connectedTo: plan.address, options: options) {
                    let peer = LoadPeer($0, worker: self, number: number, index: number - numbers.lowerBound)
                    peers.append(peer)
                    return peer
                }
            }
        } catch { recorder.fail(.open(error)) }
        completion()
    }

    func begin() {
        isSending = true
        let now = reactor.readClock().nanoseconds
        switch plan.pace {
        case .closed: for peer in peers { peer.fill(at: now) }
        case .open(let rate):
            let schedule = SendSchedule(of: plan, messagesPerSecond: rate, for: numbers, start: now)
            let clockwork = Clockwork(reactor, schedule) { [self] index, count in
                peers[index].areDue(count, at: reactor.readClock().nanoseconds)
            }
            self.clockwork = clockwork
            clockwork.start()
        }
        losses = reactor.callRepeatedly(every: DatagramWorker.lossLimit / 5) { [self] _ in lookForLosses() }
    }

    /// When datagram `round` of a peer of this worker is due.
    func due(_ round: Int, of index: Int) -> UInt64 { clockwork?.due(round, of: index) ?? 0 }

    func received(at now: UInt64, by peer: LoadPeer) {
        hasAnswered = true
        recorder.received(messages: 1, at: now)
        if whenFinished != nil, onTheWay == 0 { finished() }
    }

    /// Nobody is there; or nobody any more.
    func refused() { recorder.fail(.noAnswer(plan.address)) }

    func mismatch(_ index: Int, byte: Int) {
        recorder.fail(.mismatch(connection: UInt64(numbers.lowerBound + index + 1), byte: UInt64(byte)))
    }

    private var onTheWay: Int { peers.reduce(0) { $0 + $1.window.onTheWay } }

    private func lookForLosses() {
        let now = reactor.readClock()
        let limit = now.nanoseconds - UInt64(DatagramWorker.lossLimit.clampedNanoseconds)
        let count = peers.reduce(0) { $0 + $1.giveUp(sentBefore: limit, at: now.nanoseconds) }
        if count > 0 { recorder.lost(count, at: now.nanoseconds) }
        if count > 0, !hasAnswered { recorder.fail(.noAnswer(plan.address)) }
        if whenFinished != nil, onTheWay == 0 { finished() }
    }

    func finish(completion: @escaping () -> Void) {
        let now = reactor.readClock().nanoseconds
        recorder.end(at: now)
        isSending = false
        clockwork?.stop()
        whenFinished = completion
        for peer in peers { peer.giveUpWaiting(at: now) }
        // What is on its way comes back, or is lost, within the limit.
        if losses == nil || onTheWay == 0 { finished() }
    }

    private func finished() {
        losses?.stop()
        losses = nil
        for peer in peers { peer.transport.close() }
        peers = []
        whenFinished.take()?()
    }
}
