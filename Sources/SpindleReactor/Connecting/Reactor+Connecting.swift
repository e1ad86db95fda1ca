// SPDX-License-Identifier: Apache-2.0

public import SpindleCore

extension Reactor {
    /// Opens a connection to a numeric address or a Unix socket; it belongs to this reactor.
    ///
    /// - Parameters:
    ///   - address: Where to.
    ///   - local: The address to come from, or nil for the kernel's choice.
    ///   - timeout: How long it may take.
    ///   - build: Makes the protocol once the connection stands; nil gives it up at once.
    ///   - completion: Called once, in a later turn: the protocol, after its `connectionMade`, or the error. While
    ///     the engine stops it is called at once, with `.engineStopped`.
    public func connect(
        to address: SocketAddress,
        from local: SocketAddress? = nil,
        timeout: Duration = .seconds(30),
        _ build: @escaping (any StreamTransport) throws -> (any StreamProtocol)?,
        completion: @escaping (Result<any StreamProtocol, ConnectError>) -> Void = { _ in }
    ) {
        preconditionCurrent()
        func fail(_ reason: DisconnectReason) { completion(.failure(ConnectError(.address(address), reason))) }
        guard !isEnding else { return fail(.engineStopped) }
        do throws(ConnectRefusal) {
            try open(address, from: local, timeout: timeout, build) { result in
                switch result {
                case .success(let proto): completion(.success(proto))
                case .failure(let failure): fail(failure.reason)
                }
            }
        } catch {
            callSoon { fail(error.reason) }
        }
    }

    /// Opens a connection to where `target` says, a name's addresses one after the other as RFC 8305 has it.
    ///
    /// - Parameters:
    ///   - target: An address, or a name.
    ///   - options: How long it may take, and from where.
    ///   - build: Makes the protocol of the first address that answers, once; nil gives it up.
    ///   - lost: Told of the end of the connection, after the protocol's own `connectionLost`.
    ///   - completion: Called once, in a later turn: the protocol, after its `connectionMade`, or the error; at once
    ///     while the engine stops, with `.engineStopped`, and within `cancel`, with `.aborted`.
    /// - Returns: What can cancel it.
    @discardableResult
    public func connect(
        to target: ConnectTarget,
        options: ConnectOptions = ConnectOptions(),
        _ build: @escaping (any StreamTransport) throws -> (any StreamProtocol)?,
        lost: ((DisconnectReason) -> Void)? = nil,
        completion: @escaping (Result<any StreamProtocol, ConnectError>) -> Void = { _ in }
    ) -> ConnectAttempt {
        preconditionCurrent()
        let attempt = ConnectAttempt(target, options, on: self, build, lost, completion)
        attempt.begin()
        return attempt
    }

    /// Begins one connection.
    ///
    /// - Parameter completion: Called once, in a later turn, never within this call.
    /// - Returns: The connection, which is in the table.
    /// - Throws: What is refused at once; `completion` is not called then.
    @discardableResult
    func open(
        _ address: SocketAddress,
        from local: SocketAddress?,
        settings: [SocketSetting] = [],
        timeout: Duration,
        _ build: @escaping (any StreamTransport) throws -> (any StreamProtocol)?,
        lost: ((DisconnectReason) -> Void)? = nil,
        completion: @escaping (Result<any StreamProtocol, OpenFailure>) -> Void
    ) throws(ConnectRefusal) -> EventToken {
        let socket = try driver.connect(to: address, from: local, settings: settings)
        let connection = Connection(reactor: self, handle: socket, peer: address, acceptor: nil, phase: .connecting)
        handle.addToLoad()
        guard insert(connection) else { throw .system(.noMemory) }
        let extras = ConnectionExtras()
        connection.extras = extras
        extras.lost = lost
        extras.established = { [self] reason in
            if let reason { return completion(.failure(OpenFailure(reason: reason))) }
            connection.idleTimeout = defaultIdleTimeout
            connection.lastActivity = now.nanoseconds
            begin(connection) { try build(connection) }
            guard let proto = connection.proto else { return completion(.failure(OpenFailure(reason: .aborted))) }
            completion(.success(proto))
        }
        // Until it stands, the idle timeout is the time it may take.
        connection.idleTimeout = UInt64(max(timeout.clampedNanoseconds, 1))
        armTimer(of: connection, since: driver.now())
        return connection.token
    }

    func finishConnecting(_ connection: Connection, _ readiness: Readiness) {
        if let errno = driver.takeError(of: connection.handle) {
            counters.add(errno)
            return end(connection, .lost(errno), reset: false)
        }
        guard readiness.contains(.writable) else { return }
        connection.state.established()
        cancelTimer(of: connection)
        counters.add(.connected)
        if let established = connection.extras?.established.take() { established(nil) }
        if connection.extras?.isEmpty == true { connection.extras = nil }
        guard connection.state.isLive else { return }
        if !readiness.isDisjoint(with: .input) {
            connection.state.flags.insert(.inputWaits)
            if !readiness.isDisjoint(with: .final) { connection.state.flags.insert(.inputIsFinal) }
            readLaterIfNeeded(connection)
        }
    }
}

/// Why one attempt failed.
struct OpenFailure: Error {
    let reason: DisconnectReason
}
