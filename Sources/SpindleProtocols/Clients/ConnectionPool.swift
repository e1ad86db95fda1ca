// SPDX-License-Identifier: Apache-2.0

internal import SpindleCore
public import SpindleReactor

/// Connections to one server that are used again: no more of them than may be, and none that has something to say.
///
/// Belongs to the reactor whose code uses it; a pool for each core is `engine.makeSharded { _ in ConnectionPool(…) }`.
/// Whoever finds all connections in use waits, first come first served.
///
///     try await pool.withConnection { connection in
///         try await connection.write(request)
///         return try await readAnswer(connection)     // all of it: what is left unread ends the connection
///     }
public final class ConnectionPool {
    /// The limits of a pool. Each says what happens when it is met.
    public struct Configuration: Sendable, Equatable {
        /// Connections at most, at least 1; with all of them in use, the next one waits.
        public var maximumConnections = 16
        /// So many may wait; the next one is refused with `.full`.
        public var maximumWaiting = 1024
        /// Who has waited so long is refused with `.timedOut`.
        public var waitTimeout: Duration = .seconds(5)
        /// A connection that nobody has used for so long is closed.
        public var idleTime: Duration = .seconds(60)

        /// The defaults above.
        public init() {}
    }

    /// Why nobody got a connection.
    public enum Refusal: Error, Equatable, CustomStringConvertible {
        /// As many wait as may.
        case full
        /// All connections were in use for all of the time that one may wait.
        case timedOut

        /// One line for a log.
        public var description: String {
            switch self {
            case .full: "as many wait for a connection of the pool as may"
            case .timedOut: "no connection of the pool became free in time"
            }
        }
    }

    /// Where the connections go.
    public let target: ConnectTarget
    private let options: ConnectOptions
    private let configuration: Configuration
    private var idle: [(connection: StreamConnection, since: MonotonicInstant)] = []
    private var waiting: [Waiter] = []
    private var reaper: ReactorTimer?
    /// In use, being made, or idle.
    public private(set) var connectionCount = 0

    /// Connections that nobody uses now.
    public var idleCount: Int { idle.count }
    /// Those who wait for one.
    public var waitingCount: Int { waiting.count }

    /// A pool without connections: each is made when it is wanted.
    public init(
        to target: ConnectTarget,
        options: ConnectOptions = ConnectOptions(),
        configuration: Configuration = Configuration()
    ) {
        precondition(configuration.maximumConnections > 0, "a pool of \(configuration.maximumConnections) connections")
        self.target = target
        self.options = options
        self.configuration = configuration
    }

    /// Lends a connection to `body`: one that was used before if there is one, else a new one, else the next that
    /// comes back.
    ///
    /// When `body` returns, the connection is kept for others if all that came was read and all that was written is
    /// sent; when it throws, the connection is reset. A connection that the server has closed meanwhile is not lent;
    /// one that it closes at that very moment looks like any that breaks: whoever may repeat his request does so.
    ///
    /// - Throws: `Refusal`, `ConnectError`, `CancellationError`, and what `body` throws.
    public nonisolated(nonsending) func withConnection<Result>(
        _ body: nonisolated(nonsending) (StreamConnection) async throws -> Result
    ) async throws -> Result {
        let connection = try await take()
        do {
            let result = try await body(connection)
            giveBack(connection)
            return result
        } catch {
            connection.abort()
            freed()
            throw error
        }
    }

    /// Closes the connections that nobody uses.
    public func closeIdle() {
        let all = idle
        idle = []
        for entry in all { drop(entry.connection) }
    }

    private nonisolated(nonsending) func take() async throws -> StreamConnection {
        while let entry = idle.popLast() {
            // The one that was used last: it is the least likely to have been closed, and the others may go.
            entry.connection.whenDraining = nil
            if entry.connection.isQuiet { return entry.connection }
            drop(entry.connection)
        }
        if connectionCount >= configuration.maximumConnections {
            if let connection = try await wait() { return connection }
        } else {
            connectionCount += 1
        }
        // There is room for one more, and it is ours.
        do { return try await StreamConnection.connect(to: target, options: options) } catch {
            freed()
            throw error
        }
    }

    private func giveBack(_ connection: StreamConnection) {
        guard connection.isQuiet else {
            drop(connection)
            return
        }
        if let waiter = waiting.first {
            waiting.removeFirst()
            return waiter.goOn(.connection(connection))
        }
        // What is kept while the engine drains would be waited for.
        guard let reactor = Reactor.current, !reactor.isDraining else { return drop(connection) }
        idle.append((connection, reactor.now))
        // Or a stop would wait for it until its deadline.
        connection.whenDraining = { [weak self] in self?.closeIdle() }
        watchIdle(reactor)
    }

    private func drop(_ connection: StreamConnection) {
        connection.whenDraining = nil
        connection.close()
        freed()
    }

    /// There is room for a connection: for whoever has waited longest.
    private func freed() {
        guard let waiter = waiting.first else {
            connectionCount -= 1
            return
        }
        waiting.removeFirst()
        waiter.goOn(.room)
    }

    /// One timer for all: the first in the list has been idle longest.
    private func watchIdle(_ reactor: Reactor) {
        guard reaper == nil, let first = idle.first else { return }
        let left = max(configuration.idleTime - first.since.duration(to: reactor.now), .zero)
        reaper = reactor.callLater(left) { [weak self] in
            guard let self else { return }
            reaper = nil
            while let first = idle.first, first.since.duration(to: reactor.now) >= configuration.idleTime {
                idle.removeFirst()
                drop(first.connection)
            }
            watchIdle(reactor)
        }
    }

    // MARK: Waiting

    /// A connection that came back; nil when there is room for a new one.
    private nonisolated(nonsending) func wait() async throws -> StreamConnection? {
        guard waiting.count < configuration.maximumWaiting else { throw Refusal.full }
        let waiter = Waiter()
        waiting.append(waiter)
        let timer = Reactor.current?.callLater(configuration.waitTimeout) { [weak self, weak waiter] in
            if let waiter { self?.giveUp(waiter, .timedOut) }
        }
        await waiter.wait(cancelled: { [weak self] in self?.giveUp(waiter, .cancelled) })
        if Reactor.current != nil { timer?.cancel() }
        switch waiter.outcome {
        case .connection(let connection): return connection
        case .room: return nil
        case .timedOut: throw Refusal.timedOut
        case .cancelled: throw CancellationError()
        case nil:
            // The reactor has ended.
            giveUp(waiter, .cancelled)
            throw ConnectError(target, .engineStopped)
        }
    }

    private func giveUp(_ waiter: Waiter, _ outcome: Waiter.Outcome) {
        guard let index = waiting.firstIndex(where: { $0 === waiter }) else { return }
        waiting.remove(at: index)
        waiter.goOn(outcome)
    }
}

/// A task that waits for a connection.
private final class Waiter {
    enum Outcome {
        case connection(StreamConnection)
        case room
        case timedOut
        case cancelled
    }

    private(set) var outcome: Outcome?
    private var parking: Parking?

    func goOn(_ outcome: Outcome) {
        self.outcome = outcome
        parking?.leave()
    }

    func wait(cancelled: @escaping () -> Void, isolation: isolated (any Actor)? = #isolation) async {
        guard Reactor.current != nil else { return }
        await Parking.wait(cancelled: cancelled, isolation: isolation) { parking = $0 }
    }
}
