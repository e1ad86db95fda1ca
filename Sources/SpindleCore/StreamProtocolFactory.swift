// SPDX-License-Identifier: Apache-2.0

/// Makes the protocol objects of a listener: one factory object on every reactor, used on its thread only.
public protocol StreamProtocolFactory: AnyObject {
    /// The first listener of this factory object starts on this reactor: set up per-core state here.
    func startFactory()

    /// A connection was accepted (or established): make its protocol object.
    ///
    /// - Parameter transport: The connection; keep it in the protocol object. What is written now leaves
    ///   together with what `connectionMade` writes.
    /// - Returns: The protocol object, or nil to refuse: the connection is closed at once, without callbacks.
    /// - Throws: Any error: it is logged, and the connection is closed at once.
    func buildProtocol(for transport: any StreamTransport) throws -> (any StreamProtocol)?

    /// The last listener of this factory object has ended on this reactor. Live connections may go on.
    func stopFactory()
}

extension StreamProtocolFactory {
    /// Does nothing.
    public func startFactory() {}
    /// Does nothing.
    public func stopFactory() {}
}

/// A factory made of one closure, for protocols without state of their own per core.
public final class ClosureFactory: StreamProtocolFactory {
    private let build: (any StreamTransport) throws -> (any StreamProtocol)?

    /// A factory whose `buildProtocol` is the closure.
    public init(_ build: @escaping (any StreamTransport) throws -> (any StreamProtocol)?) { self.build = build }

    /// Calls the closure.
    public func buildProtocol(for transport: any StreamTransport) throws -> (any StreamProtocol)? {
        try build(transport)
    }
}
