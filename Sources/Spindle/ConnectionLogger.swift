// SPDX-License-Identifier: Apache-2.0

public import Logging
public import SpindleCore
public import SpindleReactor

extension StreamTransport {
    /// A logger whose lines say whom they are about: reactor, connection number and peer. On the reactor's thread.
    ///
    /// It costs an allocation or two: make it where something is to be said, or keep it in the protocol object.
    public func logger(label: String = "spindle") -> Logger {
        Logger(label: label, about: self, of: Reactor.current?.index)
    }
}

extension StreamConnection {
    /// A logger whose lines say whom they are about: reactor, connection number and peer. On the reactor's thread.
    public func logger(label: String = "spindle") -> Logger { connection.logger(label: label) }
}

extension Logger {
    fileprivate init(label: String, about transport: some StreamTransport, of reactor: Int?) {
        self.init(label: label)
        if let reactor { self[metadataKey: "reactor"] = "\(reactor)" }
        self[metadataKey: "connection"] = "\(transport.connectionNumber)"
        self[metadataKey: "peer"] = "\(transport.peerAddress)"
    }
}
