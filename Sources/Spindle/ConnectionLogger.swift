// SPDX-License-Identifier: Apache-2.0

public import Logging
public import SpindleCore
public import SpindleReactor

extension StreamTransport {
    /// A logger whose lines say whom they are about: reactor, connection number and peer. On the reactor's thread.
    ///
    /// It costs an allocation or two: make it where something is to be said, or keep it in the protocol object.
    public func logger(label: String = "spindle") -> Logger {
        Logger(label, reactor: Reactor.current?.index, connection: connectionNumber, peer: peerAddress)
    }
}

extension StreamConnection {
    /// A logger whose lines say whom they are about: reactor, connection number and peer. On the reactor's thread.
    public func logger(label: String = "spindle") -> Logger {
        Logger(label, reactor: reactor.index, connection: connectionNumber, peer: peerAddress)
    }
}

extension Logger {
    fileprivate init(_ label: String, reactor: Int?, connection: UInt64, peer: SocketAddress) {
        self.init(label: label)
        if let reactor { self[metadataKey: "reactor"] = "\(reactor)" }
        self[metadataKey: "connection"] = "\(connection)"
        self[metadataKey: "peer"] = "\(peer)"
    }
}
