// SPDX-License-Identifier: Apache-2.0

internal import Spindle

/// One connection of the load generator: sends when its turn is and checks every byte that comes back.
///
/// In a closed loop it keeps `depth` messages on the way; in an open one it sends what is due, at most so many ahead of
/// what has come back.
final class EchoConnection: StreamProtocol {
    let transport: any StreamTransport
    /// Its place among the worker's connections.
    let index: Int
    private let worker: EchoWorker
    /// Where its stream begins in the pattern.
    private let offset: UInt64
    private var window: MessageWindow
    /// Messages that have been due, in an open loop.
    private var dueMessages = 0

    init(_ transport: any StreamTransport, worker: EchoWorker, number: Int, index: Int) {
        self.transport = transport
        self.index = index
        self.worker = worker
        offset = UInt64(number) &* 7919
        window = MessageWindow(
            depth: worker.plan.depth,
            sizes: worker.sizes,
            firstSize: number &* 37 % worker.sizes.count
        )
    }

    var messagesOnTheWay: Int { window.onTheWay }

    func connectionMade() { worker.connected(self) }

    func connectionLost(_ reason: DisconnectReason) { worker.lost(self, reason) }

    func dataReceived(_ bytes: Span<UInt8>) {
        let first = window.receivedBytes
        if let index = worker.pattern.firstMismatch(bytes, at: offset + first) {
            worker.recorder.fail(.mismatch(connection: transport.connectionNumber, byte: first + UInt64(index)))
            return transport.abortConnection()
        }
        let now = worker.reactor.readClock().nanoseconds
        let before = window.received
        guard window.receive(bytes.count, finished: { worker.recorder.record(from: $0, to: now) }) else {
            worker.recorder.fail(.surplus(connection: transport.connectionNumber, byte: window.sentBytes))
            return transport.abortConnection()
        }
        let finished = window.received - before
        guard finished > 0 else { return }
        worker.received(messages: finished, at: now, on: self)
        if worker.plan.pace.isOpen { sendDue() } else if worker.isSending { send(finished, at: now) }
    }

    /// Sends so many messages now.
    func send(_ count: Int, at now: UInt64) {
        var length = 0
        let start = window.sentBytes
        for _ in 0..<count { length += window.send(at: now) }
        write(length, from: start)
    }

    /// So many more messages are due.
    func messagesAreDue(_ count: Int) {
        dueMessages += count
        sendDue()
    }

    /// Sends what is due, as far as the depth allows.
    private func sendDue() {
        var length = 0
        let start = window.sentBytes
        while window.sent < dueMessages, window.room > 0 {
            length += window.send(at: worker.due(window.sent, of: index))
        }
        write(length, from: start)
    }

    /// Forgets what is due and was not sent; how long it has waited counts, or the slowest would be left out.
    func giveUpWaiting(at now: UInt64) {
        let waiting = max(0, dueMessages - window.sent)
        let first = window.sent
        worker.recorder.recordUnsent(waiting, at: now) { worker.due(first + $0, of: index) }
        dueMessages -= waiting
    }

    /// In one write where the pattern lies in one piece.
    private func write(_ length: Int, from start: UInt64) {
        if length > 0 { worker.pattern.withPieces(from: offset + start, count: length) { transport.write($0) } }
    }
}
