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
    private var stream: CheckedStream
    /// Messages that have been due, in an open loop.
    private var dueMessages = 0
    /// Messages that were sent before the load began: the schedule does not know them.
    private var greetings = 0

    init(_ transport: any StreamTransport, worker: EchoWorker, number: Int, index: Int) {
        self.transport = transport
        self.index = index
        self.worker = worker
        let firstSize = number &* 37 % worker.sizes.count
        let window = MessageWindow(depth: worker.plan.depth, sizes: worker.sizes, firstSize: firstSize)
        stream = CheckedStream(number: number, window)
    }

    var messagesOnTheWay: Int { stream.window.onTheWay }

    func connectionMade() { worker.connected(self) }

    func connectionLost(_ reason: DisconnectReason) { worker.lost(self, reason) }

    func dataReceived(_ bytes: Span<UInt8>) {
        let now = worker.reactor.readClock().nanoseconds
        let finished = stream.receive(bytes, of: worker.pattern, at: now, worker.recorder, from: transport)
        guard finished > 0 else { return }
        worker.received(messages: finished, at: now, on: self)
        if worker.plan.pace.isOpen { sendDue() } else if worker.isSending { send(finished, at: now) }
    }

    /// Sends the message that precedes the load.
    func greet(at now: UInt64) {
        greetings = 1
        dueMessages = 1
        send(1, at: now)
    }

    /// Sends so many messages now.
    func send(_ count: Int, at now: UInt64) {
        var length = 0
        for _ in 0..<count { length += stream.send(at: now) }
        worker.pattern.write(length, before: stream.nextOffset, to: transport)
    }

    /// So many more messages are due.
    func messagesAreDue(_ count: Int) {
        dueMessages += count
        sendDue()
    }

    /// Sends what is due, as far as the depth allows.
    private func sendDue() {
        var length = 0
        while stream.window.sent < dueMessages, stream.window.room > 0 {
            length += stream.send(at: worker.due(stream.window.sent - greetings, of: index))
        }
        worker.pattern.write(length, before: stream.nextOffset, to: transport)
    }

    /// Forgets what is due and was not sent; how long it has waited counts, or the slowest would be left out.
    func giveUpWaiting(at now: UInt64) {
        let waiting = max(0, dueMessages - stream.window.sent)
        let first = stream.window.sent - greetings
        worker.recorder.recordUnsent(waiting, at: now) { worker.due(first + $0, of: index) }
        dueMessages -= waiting
    }
}
