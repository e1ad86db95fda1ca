// SPDX-License-Identifier: Apache-2.0

public import SpindleCore

/// A connection of this side could not be established.
public struct ConnectError: Error, CustomStringConvertible {
    /// Where it was to go.
    public let address: SocketAddress
    /// Why it did not.
    public let reason: DisconnectReason

    /// The address and the reason.
    public var description: String { "cannot connect to \(address): \(reason)" }
}

extension Reactor {
    /// Opens a connection to a numeric address; it belongs to this reactor.
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
        guard !isEnding else {
            return completion(.failure(ConnectError(address: address, reason: .engineStopped)))
        }
        do throws(Errno) {
            let socket = try driver.connect(to: address, from: local)
            let connection = Connection(reactor: self, handle: socket, peer: address, acceptor: nil, phase: .connecting)
            handle.addToLoad()
            guard insert(connection) else { throw .noMemory }
            connection.onConnect = { [self] error in
                if let error { return completion(.failure(error)) }
                connection.idleTimeout = defaultIdleTimeout
                connection.lastActivity = now.nanoseconds
                begin(connection) { try build(connection) }
                guard let proto = connection.proto else {
                    return completion(.failure(ConnectError(address: address, reason: .aborted)))
                }
                completion(.success(proto))
            }
            // Until it stands, the idle timeout is the time it may take.
            connection.idleTimeout = UInt64(max(timeout.clampedNanoseconds, 1))
            armTimer(of: connection, since: driver.now())
        } catch {
            let failure = ConnectError(address: address, reason: .lost(error))
            callSoon { completion(.failure(failure)) }
        }
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
        if let established = connection.onConnect.take() { established(nil) }
        guard connection.state.isLive else { return }
        if !readiness.isDisjoint(with: .input) {
            connection.state.flags.insert(.inputWaits)
            if !readiness.isDisjoint(with: .final) { connection.state.flags.insert(.inputIsFinal) }
            readLaterIfNeeded(connection)
        }
    }
}
