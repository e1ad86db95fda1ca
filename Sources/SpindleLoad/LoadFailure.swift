// SPDX-License-Identifier: Apache-2.0

public import Spindle

/// Why a run does not count.
public enum LoadFailure: Error, Sendable, CustomStringConvertible {
    /// The server cannot be reached.
    case connect(ConnectError)
    /// A UDP socket can't be had.
    case open(DatagramError)
    /// No datagram has come back, or the server has no socket any more.
    case noAnswer(SocketAddress)
    /// A byte came back that was not the one sent.
    case mismatch(connection: UInt64, byte: UInt64)
    /// More came back than was sent.
    case surplus(connection: UInt64, byte: UInt64)
    /// The server ended a connection, or an error did.
    case connectionLost(connection: UInt64, DisconnectReason)
    /// Ended before measuring began.
    case interrupted
    /// Messages that did not come back within 5 s of the end.
    case lost(messages: Int)

    /// One sentence, with the place.
    public var description: String {
        switch self {
        case .connect(let error): "\(error)"
        case .open(let error): "\(error)"
        case .noAnswer(let address): "no datagram comes back from \(address); is there an echo server for UDP?"
        case .mismatch(let connection, let byte):
            "connection \(connection): byte \(byte) of the echo is not the byte that was sent"
        case .surplus(let connection, let byte):
            "connection \(connection): more came back than was sent, after byte \(byte)"
        case .connectionLost(let connection, let reason): "connection \(connection) ended during the run: \(reason)"
        case .interrupted: "ended before anything was measured"
        case .lost(let messages): "\(messages) messages did not come back within 5 s"
        }
    }
}
