// SPDX-License-Identifier: Apache-2.0

public import SpindleCore

/// A factory object with the number of those who use it on one reactor: started with the first, stopped with the last.
package final class FactoryUse {
    let factory: any StreamProtocolFactory
    private var users = 0
    private unowned let reactor: Reactor

    fileprivate init(_ factory: any StreamProtocolFactory, on reactor: Reactor) {
        self.factory = factory
        self.reactor = reactor
    }

    /// A listener, or a connection of this side, begins to use it.
    func begin() {
        users += 1
        guard users == 1 else { return }
        reactor.factoryUses.append(self)
        factory.startFactory()
    }

    /// One of them has ended.
    func end() {
        precondition(users > 0, "a use ended that never began")
        users -= 1
        guard users == 0 else { return }
        reactor.factoryUses.removeAll { $0 === self }
        factory.stopFactory()
    }
}

extension Reactor {
    /// The use of a factory object on this reactor: one for all who use the same object.
    package func use(of factory: any StreamProtocolFactory) -> FactoryUse {
        factoryUses.first { $0.factory === factory } ?? FactoryUse(factory, on: self)
    }

    /// Opens a connection whose protocol a factory makes. The factory is started with the first listener or connection
    /// of this side that uses it on this reactor, and stopped with the last: a connection uses it until its protocol's
    /// `connectionLost`, or its `completion` with an error, has returned.
    ///
    /// - Parameters:
    ///   - target: An address, or a name.
    ///   - options: How long it may take, and from where.
    ///   - factory: Its `buildProtocol` is called once, when the connection stands; nil gives it up.
    ///   - lost: Told of the end of the connection, after the protocol's own `connectionLost`.
    ///   - completion: As of `connect(to:options:_:lost:completion:)`.
    /// - Returns: What can cancel it.
    @discardableResult
    public func connect(
        to target: ConnectTarget,
        options: ConnectOptions = ConnectOptions(),
        factory: any StreamProtocolFactory,
        lost: ((DisconnectReason) -> Void)? = nil,
        completion: @escaping (Result<any StreamProtocol, ConnectError>) -> Void = { _ in }
    ) -> ConnectAttempt {
        preconditionCurrent()
        let attempt = ConnectAttempt(target, options, on: self, factory.buildProtocol, lost, completion)
        attempt.begin(using: use(of: factory))
        return attempt
    }
}
