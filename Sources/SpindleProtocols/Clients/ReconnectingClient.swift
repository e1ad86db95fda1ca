// SPDX-License-Identifier: Apache-2.0

public import SpindleCore
public import SpindleReactor

/// Keeps a connection to a server: when it ends, or can't be made, it is made again after a while.
///
/// Belongs to one reactor; a client for each core is made on each core (`Engine.callWhenRunning`, `makeSharded`). A
/// connection that lasted less than `steadyTime` counts as a failure: a server that takes connections and drops them
/// is not flooded.
///
///     let client = ReconnectingClient(to: .host("queue", port: 5672)) { Session($0) }
///     client.start()
public final class ReconnectingClient {
    /// What the client does.
    public enum State: Sendable, Equatable {
        /// `start` was not called, or `stop` was, or it has given up.
        case stopped
        /// A connection is being made.
        case connecting
        /// A connection stands.
        case connected
        /// A connection will be made after so long.
        case waiting(Duration)
    }

    /// Where to.
    public let target: ConnectTarget
    /// How.
    public let options: ConnectOptions
    /// What it does now.
    public private(set) var state = State.stopped
    /// The protocol of the connection that stands; nil while none does.
    public private(set) var current: (any StreamProtocol)?
    /// Told of every change of `state`, with the reason of the end when there was one; on the reactor.
    public var stateChanged: ((State, ConnectError?) -> Void)?
    /// A connection that lasted so long has been worth it: the next wait is the first again.
    public var steadyTime: Duration = .seconds(5)

    private let reactor: Reactor
    private var backoff: Backoff
    private var generator: any RandomNumberGenerator
    private let build: (any StreamTransport) throws -> (any StreamProtocol)?
    private var attempt: ConnectAttempt?
    private var timer: ReactorTimer?
    private var since = MonotonicInstant(nanoseconds: 0)
    /// Ends of connections that were begun before `stop` are none of the next start's.
    private var generation = 0

    /// A client of the calling reactor; traps on a thread that is none.
    ///
    /// - Parameters:
    ///   - target: Where to.
    ///   - options: How long each try may take, and from where.
    ///   - backoff: How long to wait between tries, and when to give up.
    ///   - generator: Where the jitter comes from.
    ///   - build: Makes the protocol of each connection; nil counts as a failure.
    public init(
        to target: ConnectTarget,
        options: ConnectOptions = ConnectOptions(),
        backoff: Backoff = Backoff(),
        generator: any RandomNumberGenerator = SystemRandomNumberGenerator(),
        _ build: @escaping (any StreamTransport) throws -> (any StreamProtocol)?
    ) {
        guard let reactor = Reactor.current else { preconditionFailure("a client without a reactor") }
        self.reactor = reactor
        self.target = target
        self.options = options
        self.backoff = backoff
        self.generator = generator
        self.build = build
    }

    /// Connects, and again whenever that is over. Does nothing while it does.
    public func start() {
        guard state == .stopped else { return }
        backoff.succeeded()
        connect()
    }

    /// Connects no more; a connection that stands gets its `loseConnection`.
    public func stop() {
        generation += 1
        timer?.cancel()
        attempt?.cancel()
        attempt = nil
        let transport = current?.transport
        current = nil
        if state != .stopped { change(to: .stopped, nil) }
        transport?.loseConnection()
    }

    private func connect() {
        generation += 1
        let generation = generation
        change(to: .connecting, nil)
        guard generation == self.generation else { return }
        attempt = reactor.connect(to: target, options: options, build) { [self] reason in
            // Behind the protocol's own `connectionLost`: C3.
            if generation == self.generation { ended(ConnectError(target, reason)) }
        } completion: { [self] result in
            guard generation == self.generation else { return }
            attempt = nil
            switch result {
            case .success(let proto):
                current = proto
                since = reactor.now
                change(to: .connected, nil)
            case .failure(let error): ended(error)
            }
        }
    }

    private func ended(_ error: ConnectError) {
        if current != nil, since.duration(to: reactor.now) >= steadyTime { backoff.succeeded() }
        current = nil
        if case .engineStopped = error.reason { return change(to: .stopped, error) }
        guard let wait = backoff.failed(using: &generator) else { return change(to: .stopped, error) }
        timer = reactor.callLater(wait) { [self] in connect() }
        change(to: .waiting(wait), error)
    }

    private func change(to state: State, _ error: ConnectError?) {
        self.state = state
        stateChanged?(state, error)
    }
}
