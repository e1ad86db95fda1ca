// SPDX-License-Identifier: Apache-2.0

public import Spindle
internal import Synchronization

/// What a load generator does: a closed loop of echoes.
public struct LoadPlan: Sendable {
    /// The echo server.
    public var address: SocketAddress
    /// Connections over all reactors of the generator, at least 1.
    public var connections: Int
    /// Bytes of a message, at least 1.
    public var messageBytes: Int
    /// Messages on the way per connection, at least 1.
    public var depth: Int
    /// How long to measure.
    public var duration: Duration
    /// How long to run before that.
    public var warmup: Duration

    /// A plan; nothing is checked here.
    public init(
        address: SocketAddress,
        connections: Int,
        messageBytes: Int,
        depth: Int,
        duration: Duration,
        warmup: Duration
    ) {
        self.address = address
        self.connections = connections
        self.messageBytes = messageBytes
        self.depth = depth
        self.duration = duration
        self.warmup = warmup
    }
}

/// Why a run does not count.
public enum LoadFailure: Error, Sendable, CustomStringConvertible {
    /// The server cannot be reached.
    case connect(ConnectError)
    /// A byte came back that was not the one sent.
    case mismatch(connection: UInt64, byte: UInt64)
    /// More came back than was sent.
    case surplus(connection: UInt64, byte: UInt64)
    /// The server ended a connection, or an error did.
    case connectionLost(connection: UInt64, DisconnectReason)
    /// Messages that did not come back within 5 s of the end.
    case lost(messages: Int)

    /// One sentence, with the place.
    public var description: String {
        switch self {
        case .connect(let error): "\(error)"
        case .mismatch(let connection, let byte):
            "connection \(connection): byte \(byte) of the echo is not the byte that was sent"
        case .surplus(let connection, let byte):
            "connection \(connection): more came back than was sent, after byte \(byte)"
        case .connectionLost(let connection, let reason): "connection \(connection) ended during the run: \(reason)"
        case .lost(let messages): "\(messages) messages did not come back within 5 s"
        }
    }
}

/// Messages received so far, for a progress line. From any thread.
public final class LoadProgress: Sendable {
    private let count = Atomic<Int>(0)

    /// Nothing yet.
    public init() {}

    func add(_ messages: Int) { count.add(messages, ordering: .relaxed) }

    /// Messages received since the start, warm-up included.
    public var messages: Int { count.load(ordering: .relaxed) }
}
