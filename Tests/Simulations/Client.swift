// SPDX-License-Identifier: Apache-2.0

import SpindleCore
import SpindleSimulation

/// A client of the echo servers, well-behaved or not: what comes back must be what it has sent.
final class Client {
    private enum Manner { case polite, sudden, quitter }

    let peer: SimulatedPeer
    private let ledger: Ledger
    private let number: Int
    private let manner: Manner
    private let total: Int
    private var sent = 0
    private(set) var received = 0
    private var hasFinished = false
    /// Reset or closed, without waiting for the end.
    private var hasLeft = false

    init(_ peer: SimulatedPeer, _ ledger: Ledger, number: Int) {
        (self.peer, self.ledger, self.number) = (peer, ledger, number)
        manner = ledger.chance(8) ? .sudden : ledger.chance(8) ? .quitter : .polite
        total = ledger.number(0...6000)
    }

    /// What the server gets from it, and it from the server: the greeting first.
    private func byte(_ index: Int) -> UInt8 { UInt8(truncatingIfNeeded: (index &* 31 &+ number &* 7) % 251) }

    private func expected(_ index: Int) -> UInt8 {
        index < greeting.count ? greeting[index] : byte(index - greeting.count)
    }

    /// Sends some, reads some, now and then not at all.
    func act() {
        guard !isOver else { return }
        if peer.isConnected, sent < total {
            let count = min(total - sent, ledger.number(1...700))
            peer.send((sent..<sent + count).map(byte))
            sent += count
        }
        switch ledger.random.below(10) {
        case 0: peer.setWindow(byteCount: ledger.number(0...50))
        case 1: peer.setWindow(byteCount: 4000)
        default: take(upTo: ledger.chance(3) ? ledger.number(1...100) : .max)
        }
        guard sent == total || manner == .quitter, received > 0, ledger.chance(3) else { return }
        switch manner {
        case .polite: finish()
        case .sudden:
            peer.reset()
            hasLeft = true
        case .quitter:
            peer.close()
            hasLeft = true
        }
    }

    private func take(upTo limit: Int = .max) {
        let bytes = peer.receive(upTo: limit)
        for byte in bytes {
            if byte != expected(received) {
                return ledger.check(
                    false,
                    "echo",
                    "client \(number): byte \(received) is \(byte), not \(expected(received))"
                )
            }
            received += 1
        }
        ledger.check(received <= greeting.count + sent, "echo", "client \(number) got more than it sent")
    }

    /// Says that no more comes.
    private func finish() {
        guard !hasFinished, peer.isConnected else { return }
        hasFinished = true
        peer.shutdownWrites()
    }

    /// Comes to its end: sends what is left and reads everything.
    func comeToEnd() {
        guard !isOver else { return }
        peer.setWindow(byteCount: 4000)
        if peer.isConnected, sent < total, !hasFinished {
            peer.send((sent..<total).map(byte))
            sent = total
        }
        take()
        // Half of them say so only when everything has come back: the end would bring what was forgotten.
        if sent == total, number % 2 == 0 || received == greeting.count + total { finish() }
    }

    /// Reads everything, and sends nothing: what the server has still to say.
    func listen() {
        guard !isOver else { return }
        peer.setWindow(byteCount: 4000)
        take()
    }

    /// The connection is over, one way or the other.
    var isOver: Bool { peer.isAtEnd || peer.error != nil || hasLeft }

    /// Where descriptors ran out it may be: shed, before anything was said.
    private var wasTurnedAway: Bool { ledger.lackedDescriptors && received == 0 && isOver }

    /// What a client that behaved has to have seen, with nothing broken on purpose.
    func checkComplete() {
        guard !hasLeft, !wasTurnedAway else { return }
        guard peer.error == nil else { return ledger.check(false, "echo", "client \(number): \(peer.error!)") }
        ledger.check(
            peer.isAtEnd && received == greeting.count + total,
            "echo",
            "client \(number): \(received) of \(greeting.count + total) bytes, \(peer.isAtEnd ? "the end" : "stuck")"
        )
    }

    /// What a drain owes: the end, behind all that was written for it.
    func checkDrained() {
        guard !hasLeft else { return }
        guard peer.error == nil else {
            return ledger.check(false, "N7", "client \(number): \(peer.error!) at the stop")
        }
        let written = peer.localAddress.flatMap { ledger.written[$0] } ?? 0
        ledger.check(
            peer.isAtEnd && received == written && written >= greeting.count,
            "drain",
            "client \(number): \(received) of \(written) written bytes, \(peer.isAtEnd ? "the end" : "no end")"
        )
    }
}
