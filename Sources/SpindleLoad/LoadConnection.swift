// SPDX-License-Identifier: Apache-2.0

internal import Spindle

/// One connection of the load generator: keeps `depth` messages on the way and checks every byte that comes back.
final class LoadConnection: StreamProtocol {
    let transport: any StreamTransport
    private let worker: LoadWorker
    private let offset: UInt64
    private var sentBytes: UInt64 = 0
    private var receivedBytes: UInt64 = 0
    /// When each message on the way was sent, in nanoseconds; a ring of `depth`.
    private var sendTimes: [UInt64]
    private var sentMessages = 0
    private var receivedMessages = 0

    init(_ transport: any StreamTransport, worker: LoadWorker, number: Int) {
        self.transport = transport
        self.worker = worker
        offset = UInt64(number) &* 7919
        sendTimes = Array(repeating: 0, count: worker.plan.depth)
    }

    var messagesOnTheWay: Int { sentMessages - receivedMessages }

    func connectionMade() {
        worker.connected(self)
    }

    func dataReceived(_ bytes: Span<UInt8>) {
        if let index = worker.pattern.firstMismatch(bytes, at: offset + receivedBytes) {
            worker.fail(.mismatch(connection: transport.connectionNumber, byte: receivedBytes + UInt64(index)))
            return transport.abortConnection()
        }
        receivedBytes += UInt64(bytes.count)
        guard receivedBytes <= sentBytes else {
            worker.fail(.surplus(connection: transport.connectionNumber, byte: sentBytes))
            return transport.abortConnection()
        }
        let complete = Int(receivedBytes / UInt64(worker.plan.messageBytes))
        guard complete > receivedMessages else { return }
        let now = worker.reactor.readClock().nanoseconds
        let finished = complete - receivedMessages
        for message in receivedMessages..<complete {
            worker.record(nanoseconds: now - sendTimes[message % sendTimes.count])
        }
        receivedMessages = complete
        worker.received(messages: finished, on: self)
        if worker.isSending { send(finished, at: now) }
    }

    /// Sends so many messages, in one write where the pattern lies in one piece.
    func send(_ count: Int, at now: UInt64) {
        for message in sentMessages..<sentMessages + count { sendTimes[message % sendTimes.count] = now }
        sentMessages += count
        let length = count * worker.plan.messageBytes
        worker.pattern.withPieces(from: offset + sentBytes, count: length) { transport.write($0) }
        sentBytes += UInt64(length)
    }

    func connectionLost(_ reason: DisconnectReason) {
        worker.lost(self, reason)
    }
}
