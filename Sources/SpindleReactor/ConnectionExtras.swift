// SPDX-License-Identifier: Apache-2.0

internal import SpindleCore

/// What few connections have: an idle one is small because it has none of it.
final class ConnectionExtras {
    /// Of a connection of this side: called once, when it stands (nil) or has failed.
    var established: ((DisconnectReason?) -> Void)?
    /// Of a connection of this side: called once, after the protocol's `connectionLost`.
    var lost: ((DisconnectReason) -> Void)?
    /// Kept until the socket is closed, on whichever reactor that is.
    var held: [any AnyObject & Sendable] = []
    /// Nanoseconds of the reactor's clock: when the handshake has to be over; 0 for never.
    var handshakeDue: UInt64 = 0
    /// Descriptors on their way in and out, of a Unix socket.
    var passing = Passing()
    /// What the kernel sends from where it lies.
    var inPlace = SendsInPlace()
    /// Who writes as fast as the connection takes it.
    var producer: RegisteredProducer?
    /// Its rates, when reading or writing is limited.
    var inputPace: Pace?
    var outputPace: Pace?

    var isEmpty: Bool {
        established == nil && lost == nil && held.isEmpty && handshakeDue == 0 && passing.isEmpty
            && inputPace == nil && outputPace == nil && producer == nil && !inPlace.isUsed
    }
}

extension Connection {
    /// The extras, made when there were none.
    func makeExtras() -> ConnectionExtras {
        if let extras { return extras }
        let made = ConnectionExtras()
        extras = made
        return made
    }

    func hold(_ object: any AnyObject & Sendable) {
        reactor.preconditionCurrent()
        guard state.phase != .closed else { return }
        makeExtras().held.append(object)
    }

    func setHandshakeTimeout(_ timeout: Duration?) {
        reactor.preconditionCurrent()
        guard state.isLive, timeout != nil || extras != nil else { return }
        let due = timeout.map { reactor.driver.now().advanced(by: $0).nanoseconds } ?? 0
        makeExtras().handshakeDue = timeout == nil ? 0 : max(due, 1)
        reactor.armTimer(of: self)
    }
}
