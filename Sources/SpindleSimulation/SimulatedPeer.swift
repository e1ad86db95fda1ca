// SPDX-License-Identifier: Apache-2.0

public import SpindleCore
internal import SpindleSystem

/// The client's end of a simulated connection, in the hands of a test.
///
/// A reference that may be copied. It behaves like a socket whose program is the test: what it does not
/// receive fills its window, and `close` with unread bytes is a reset. After `close` or `reset` every call does
/// nothing and reads nothing. No call blocks; what one does shows at the reactor's next turn.
public struct SimulatedPeer: Sendable {
    let network: SimulatedNetwork
    let id: SocketID

    private func withSocket<Result: Sendable>(
        _ absent: Result,
        _ body: (inout NetworkState) -> Result
    ) -> Result {
        network.state.withLock { state in
            guard state.exists(id), !state[id].isOrphan else { return absent }
            return body(&state)
        }
    }

    // MARK: What it is

    /// The address that it connected from.
    public var localAddress: SocketAddress? { withSocket(nil) { $0[id].localAddress } }

    /// True once the handshake is over, and until the connection broke or was let go of.
    public var isConnected: Bool { withSocket(false) { !$0[id].isConnecting && !$0[id].isBroken } }

    /// Bytes that it has sent and the other end has not read yet, wherever they are.
    public var unreadByOtherCount: Int {
        withSocket(0) { state in
            let partner = state[id].partner
            return state[id].unsent.count + (partner.map { state.exists($0) ? state[$0].received.count : 0 } ?? 0)
        }
    }

    /// Bytes that arrived and were not received.
    public var unreadByteCount: Int { withSocket(0) { $0[id].received.count } }

    /// Bytes that were sent and have not arrived at the other end.
    public var unsentByteCount: Int { withSocket(0) { $0[id].unsent.count } }

    /// True once everything was received and the other end has said that no more comes.
    public var isAtEnd: Bool { withSocket(false) { $0[id].received.isEmpty && $0[id].inputEnded } }

    /// ECONNRESET or EPIPE after a reset, ECONNREFUSED when nobody listened; nil without one.
    public var error: Errno? { withSocket(nil) { $0[id].isBroken ? $0[id].error ?? .connectionReset : nil } }

    // MARK: What it does

    /// Sends bytes; any number, kept until the other end's window takes them.
    ///
    /// - Returns: False when the connection can't send: after `shutdownWrites`, `close` or a reset.
    @discardableResult
    public func send(_ bytes: [UInt8]) -> Bool {
        withSocket(false) { state in
            guard !state[id].isBroken, !state[id].outputEnded else { return false }
            guard !bytes.isEmpty else { return true }
            state[id].unsent.append(bytes)
            state.dispatch(.bytes(from: id, count: bytes.count), from: id)
            return true
        }
    }

    /// Sends the text as UTF-8.
    @discardableResult
    public func send(_ text: String) -> Bool { send(Array(text.utf8)) }

    /// Takes what has arrived, which makes room in the window for more; empty when nothing has.
    ///
    /// - Parameter limit: Bytes to take at most, not negative.
    public func receive(upTo limit: Int = .max) -> [UInt8] {
        withSocket([]) { state in
            let bytes = Array(state[id].received.take(upTo: limit))
            if !bytes.isEmpty { state.windowOpened(at: id) }
            return bytes
        }
    }

    /// Makes the window so many bytes wide, not negative; 0 refuses to read. Bytes that have arrived stay.
    public func setWindow(byteCount: Int) {
        precondition(byteCount >= 0, "a window of \(byteCount) bytes")
        withSocket(()) { state in
            state[id].receiveCapacity = byteCount
            state.windowOpened(at: id)
        }
    }

    /// Says that it sends no more, behind all it sent: shutdown(2). It still receives.
    public func shutdownWrites() { withSocket(()) { $0.shutdownWrites(of: id) } }

    /// Lets go of the connection: close(2). With unread bytes that is a reset.
    public func close() { withSocket(()) { $0.close(id, reset: false) } }

    /// Resets the connection, dropping what is unsent: close(2) with SO_LINGER and time 0.
    public func reset() { withSocket(()) { $0.close(id, reset: true) } }
}
