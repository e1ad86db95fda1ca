// SPDX-License-Identifier: Apache-2.0

public import SpindleCore
internal import SpindleSystem

/// A descriptor that somebody else has opened can't be taken over.
public struct AdoptError: Error, Equatable, CustomStringConvertible {
    /// Which.
    public let descriptor: Int32
    /// One sentence.
    public let reason: String

    /// For drivers of your own.
    public init(descriptor: Int32, reason: String) {
        self.descriptor = descriptor
        self.reason = reason
    }

    init(_ descriptor: Int32, _ failure: AdoptedSocket.Failure) {
        let reason =
            switch failure {
            case .notStream: "it is no stream socket"
            case .notDatagram: "it is no UDP socket"
            case .notBound: "it is bound to no port; bind(2) is for whoever opened it"
            case .notListening: "it does not listen; listen(2) is for whoever opened it"
            case .listening: "it listens, and is no connection"
            case .notConnected: "it is not connected"
            case .unknownFamily: "its family is none that is served so"
            case .system(.badDescriptor): "it is not open"
            case .system(.notSocket): "it is no socket"
            case .system(let errno): "\(errno)"
            }
        self.init(descriptor: descriptor, reason: reason)
    }

    /// The number and the reason.
    public var description: String { "descriptor \(descriptor) can't be used: \(reason)" }
}

extension Reactor {
    /// Takes over a connected stream socket that somebody else has opened: it is served like one that was accepted,
    /// from a later turn on.
    ///
    /// - Parameters:
    ///   - descriptor: The caller closes it, now or later: the reactor has a number of its own for it. The socket is
    ///     non-blocking from now on.
    ///   - build: Makes the protocol; nil closes the connection.
    /// - Throws: `AdoptError` when it is no connected stream socket.
    public func adopt(
        connection descriptor: Int32,
        _ build: @escaping (any StreamTransport) throws -> (any StreamProtocol)?
    ) throws(AdoptError) {
        preconditionCurrent()
        guard !isEnding else { throw AdoptError(descriptor: descriptor, reason: "the engine stops") }
        let (socket, peer) = try driver.adopt(connection: descriptor)
        // Later: a callback may be running, which has the cork.
        callSoon { [unowned self] in
            guard !isEnding, let socket = socket.take() else { return }
            welcome(socket, peer: peer, nil) { transport in
                (transport as? Connection)?.state.flags.insert(.adopted)
                return try build(transport)
            }
        }
    }
}
