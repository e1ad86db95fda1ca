// SPDX-License-Identifier: Apache-2.0

/// Why a connection ended; what `connectionLost(_:)` is told.
public enum DisconnectReason: Sendable {
    /// An orderly end: the peer closed its side, or `loseConnection` sent what was accepted and closed.
    case done
    /// The network ended it: a reset, a broken pipe, a timeout of the kernel's.
    case lost(Errno)
    /// This side called `abortConnection`.
    case aborted
    /// A callback of the protocol threw this error, or what came with the bytes was incomplete (`PassingError.lost`).
    /// Unsent bytes were dropped.
    case failed(any Error)
    /// The unsent bytes passed the connection's hard limit (`writeLimit`), or the reactor's cap on all
    /// unsent bytes was passed and this connection held the most.
    case writeLimitExceeded
    /// A deadline of this side passed.
    case timedOut(TimeoutKind)
    /// The engine stopped before the connection had ended by itself.
    case engineStopped
    /// The connection lives on at another reactor, with a new protocol object.
    case handedOff
}

/// Which deadline a connection missed.
public enum TimeoutKind: String, Sendable {
    /// `loseConnection` was called and the peer did not read what was left (`closeTimeout`).
    case close
    /// Bytes were waiting and the peer took none of them (`writeProgressTimeout`).
    case writeProgress
    /// What `setHandshakeTimeout` gave the handshake was over, and it was not.
    case handshake
    /// An outgoing connection was not established in time (`connect(timeout:)`).
    case connect
}

extension DisconnectReason: CustomStringConvertible {
    /// One line for a log.
    public var description: String {
        switch self {
        case .done: "done"
        case .lost(let errno): "lost: \(errno)"
        case .aborted: "aborted by this side"
        case .failed(let error as PassingError): "\(error)"
        case .failed(let error as SocketOptionError): "\(error)"
        case .failed(let error): "a callback threw \(error)"
        case .writeLimitExceeded: "the limit on unsent bytes was exceeded"
        case .timedOut(let kind): "timed out (\(kind.rawValue))"
        case .engineStopped: "the engine stopped"
        case .handedOff: "handed to another reactor"
        }
    }
}
