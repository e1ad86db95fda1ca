// SPDX-License-Identifier: Apache-2.0

internal import SpindleCore
internal import SpindleSystem

/// A connection of this side that is being made: looks up the name, tries its addresses, keeps the first that answers.
///
/// What is next is `ConnectRace`'s to say. It belongs to its reactor and lives until its completion was called.
public final class ConnectAttempt {
    /// Where to.
    public let target: ConnectTarget
    private let options: ConnectOptions
    private let reactor: Reactor
    /// Nil when it is not called any more, with all that it holds.
    private var build: ((any StreamTransport) throws -> (any StreamProtocol)?)?
    private var lost: ((DisconnectReason) -> Void)?
    /// Nil when it was called.
    private var completion: ((Result<any StreamProtocol, ConnectError>) -> Void)?
    private var race = ConnectRace([])
    /// The factory, when one makes the protocol: until the protocol has ended, or there will be none.
    private var use: FactoryUse?
    /// A protocol was built, and its `connectionMade` has not returned.
    private var isEstablishing = false
    private var running: [EventToken] = []
    private var failures: [ConnectError] = []
    private var deadline: ReactorTimer?
    private var nextAddress: ReactorTimer?
    private let end: MonotonicInstant
    /// A Unix socket whose queue is full is tried again after so long.
    private static var fullQueueDelay: Duration { .milliseconds(10) }

    init(
        _ target: ConnectTarget,
        _ options: ConnectOptions,
        on reactor: Reactor,
        _ build: @escaping (any StreamTransport) throws -> (any StreamProtocol)?,
        _ lost: ((DisconnectReason) -> Void)?,
        _ completion: @escaping (Result<any StreamProtocol, ConnectError>) -> Void
    ) {
        self.target = target
        self.options = options
        self.reactor = reactor
        self.build = build
        self.lost = lost
        self.completion = completion
        end = reactor.driver.now().advanced(by: options.timeout)
    }

    /// True until the completion was called.
    public var isUnderway: Bool { completion != nil }

    /// Gives up: the completion is called now, with `.aborted`. Does nothing when it was called.
    public func cancel() { fail(.aborted) }

    func begin(using use: FactoryUse? = nil) {
        self.use = use
        use?.begin()
        guard !reactor.isEnding else { return fail(.engineStopped) }
        reactor.attempts.append(self)
        deadline = reactor.callLater(options.timeout) { [self] in fail(.timedOut(.connect)) }
        switch target {
        case .address(let address): start([address])
        case .host(let host, let port):
            if let address = SocketAddress(numericHost: host, port: port) { return start([address]) }
            reactor.resolver.resolve(host, port: port) { [self] result in
                guard isUnderway else { return }
                switch result {
                case .success(let addresses) where addresses.isEmpty:
                    failSoon(ResolveError(host: host, reason: "it has no address", isTemporary: false))
                case .success(let addresses): start(addresses)
                case .failure(let error): failSoon(error)
                }
            }
        }
    }

    /// Some resolvers answer at once: the completion comes later all the same.
    private func failSoon(_ error: ResolveError) { reactor.callSoon { [self] in fail(.failed(error)) } }

    private func start(_ addresses: [SocketAddress]) {
        race = ConnectRace(addresses)
        follow(race.next())
    }

    private func follow(_ step: ConnectRace.Step) {
        switch step {
        case .wait: break
        case .fail:
            let reason = failures.last?.reason ?? .aborted
            finish(.failure(ConnectError(target, reason, attempts: failures.count > 1 ? failures : [])))
        case .begin(let address):
            nextAddress?.cancel()
            if race.hasMore {
                nextAddress = reactor.callLater(options.attemptDelay) { [self] in follow(race.next()) }
            }
            open(address)
        }
    }

    private func open(_ address: SocketAddress) {
        do throws(ConnectRefusal) {
            var token = EventToken.none
            token = try reactor.open(
                address,
                from: options.localAddress,
                settings: options.settings,
                timeout: reactor.driver.now().duration(to: end),
                // The first one that stands ends the others.
                { [self] transport in try buildFirst(transport) },
                lost: { [self] in
                    lost.take()?($0)
                    endUse()
                },
                completion: { [self] in ended($0, address, token) }
            )
            running.append(token)
        } catch {
            // connect(2): the queue of a Unix socket is full, and nothing tells when it is not.
            if error == .system(.wouldBlock), address.isUnix {
                reactor.callLater(ConnectAttempt.fullQueueDelay) { [self] in if isUnderway { open(address) } }
                return
            }
            reactor.callSoon { [self] in ended(.failure(OpenFailure(reason: error.reason)), address, .none) }
        }
    }

    private func buildFirst(_ transport: any StreamTransport) throws -> (any StreamProtocol)? {
        guard isUnderway, let build = build.take() else { return nil }
        let proto = try build(transport)
        // It may have been cancelled by the build.
        guard isUnderway, let proto else { return nil }
        isEstablishing = true
        return proto
    }

    private func ended(
        _ result: Result<any StreamProtocol, OpenFailure>,
        _ address: SocketAddress,
        _ token: EventToken
    ) {
        running.removeAll { $0 == token }
        isEstablishing = false
        guard isUnderway else {
            // Cancelled within `connectionMade`: its end comes.
            if case .success(let proto) = result { proto.transport.abortConnection() } else { endUse() }
            return
        }
        switch result {
        case .success(let proto): finish(.success(proto))
        case .failure(let failure):
            if build == nil { return fail(failure.reason) }
            failures.append(ConnectError(.address(address), failure.reason))
            follow(race.failed())
        }
    }

    func fail(_ reason: DisconnectReason) {
        finish(.failure(ConnectError(target, reason, attempts: failures)))
    }

    private func finish(_ result: Result<any StreamProtocol, ConnectError>) {
        guard let completion = completion.take() else { return }
        build = nil
        if case .failure = result { lost = nil }
        deadline?.cancel()
        nextAddress?.cancel()
        if let index = reactor.attempts.firstIndex(where: { $0 === self }) { reactor.attempts.remove(at: index) }
        for token in running {
            reactor.table.resolve(token)?.use {
                if $0.state.phase == .connecting { reactor.end($0, .aborted, reset: true) }
            }
        }
        completion(result)
        if case .failure = result, !isEstablishing { endUse() }
    }

    private func endUse() { use.take()?.end() }
}
