// SPDX-License-Identifier: Apache-2.0

internal import Spindle

/// One peer of the load generator: a UDP socket that sends when its turn is and checks every byte that comes back.
///
/// A datagram has its number first, then bytes of the pattern from a place that the number decides.
final class LoadPeer: DatagramProtocol {
    let transport: any DatagramTransport
    private let worker: DatagramWorker
    private let index: Int
    private let offset: UInt64
    private(set) var window: DatagramWindow
    /// Datagrams that have been due, in an open loop.
    private var due = 0
    private var buffer: [UInt8] = []

    init(_ transport: any DatagramTransport, worker: DatagramWorker, number: Int, index: Int) {
        self.transport = transport
        self.worker = worker
        self.index = index
        offset = UInt64(number) &* 7919
        let firstSize = number &* 37 % worker.sizes.count
        window = DatagramWindow(depth: worker.plan.depth, sizes: worker.sizes, firstSize: firstSize)
    }

    func connectionRefused() { worker.refused() }

    func datagramReceived(_ bytes: Span<UInt8>, from origin: DatagramOrigin) {
        let now = worker.reactor.readClock().nanoseconds
        guard bytes.count >= DatagramWindow.headerBytes else { return worker.mismatch(index, byte: bytes.count) }
        var number: UInt64 = 0
        for place in 0..<DatagramWindow.headerBytes { number |= UInt64(bytes[place]) << UInt64(8 * place) }
        let rest = bytes.extracting(droppingFirst: DatagramWindow.headerBytes)
        if let wrong = worker.pattern.firstMismatch(rest, at: place(of: number)) {
            return worker.mismatch(index, byte: wrong + DatagramWindow.headerBytes)
        }
        switch window.receive(number, size: bytes.count) {
        case .wrong: worker.mismatch(index, byte: min(bytes.count, 4))
        case .unexpected: break
        case .onTime(let start):
            worker.recorder.record(from: start, to: now)
            worker.received(at: now, by: self)
            if worker.plan.pace.isOpen { sendDue(at: now) } else if worker.isSending { send(at: now, from: now) }
        }
    }

    private func place(of number: UInt64) -> UInt64 { offset &+ (number >> 32) &* 4099 }

    /// Fills the window, in a closed loop.
    func fill(at now: UInt64) { while window.room > 0 { send(at: now, from: now) } }

    private func send(at now: UInt64, from start: UInt64) {
        let (number, size) = window.send(at: start, now: now)
        buffer.removeAll(keepingCapacity: true)
        for place in 0..<DatagramWindow.headerBytes {
            buffer.append(UInt8(truncatingIfNeeded: number >> UInt64(8 * place)))
        }
        worker.pattern.append(size - DatagramWindow.headerBytes, from: place(of: number), to: &buffer)
        transport.send(buffer)
    }

    /// So many more datagrams are due.
    func areDue(_ count: Int, at now: UInt64) {
        due += count
        sendDue(at: now)
    }

    /// Sends what is due, as far as the depth allows.
    private func sendDue(at now: UInt64) {
        while worker.isSending, window.sent < due, window.room > 0 {
            send(at: now, from: worker.due(window.sent, of: index))
        }
    }

    /// What has left before `time` and not come back is lost: its places are used again.
    func giveUp(sentBefore time: UInt64, at now: UInt64) -> Int {
        let count = window.giveUp(sentBefore: time)
        guard count > 0, worker.isSending else { return count }
        if worker.plan.pace.isOpen { sendDue(at: now) } else { fill(at: now) }
        return count
    }

    /// Forgets what is due and was not sent; how long it has waited counts, or the slowest would be left out.
    func giveUpWaiting(at now: UInt64) {
        let (waiting, first) = (max(0, due - window.sent), window.sent)
        worker.recorder.recordUnsent(waiting, at: now) { worker.due(first + $0, of: index) }
        due -= waiting
    }
}
