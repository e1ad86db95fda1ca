// SPDX-License-Identifier: Apache-2.0

public import SpindleCore
public import SpindleReactor

/// Runs N reactors turn by turn on the calling thread, in an order drawn from a seed, on one simulated network.
///
/// A reactor takes a turn when it has reason to: events, a due timer, work of its own. When none has, all take one
/// more (mail between reactors shows only then), and when that changed nothing either, time jumps to whatever
/// comes first: a timer or something on its way. So hours pass in milliseconds, and a run can be had again from
/// its two seeds, the scheduler's and the network's.
///
/// Made, used and released on one thread. It can't show what needs real parallelism, a missing fence least of all.
public final class SimulatedScheduler {
    /// Why `run` returned.
    public enum Outcome: Sendable, Equatable {
        /// The condition held.
        case fulfilled
        /// Nothing is left that could ever happen by itself: no event, no timer, nothing on its way.
        case idle
        /// So many turns were taken as were allowed.
        case outOfTurns
    }

    /// The network that the reactors are on.
    public let network: SimulatedNetwork
    /// The reactors, by index.
    public let reactors: [Reactor]
    /// Turns taken so far, of all reactors together.
    public private(set) var turnCount = 0

    @usableFromInline let mailroom: Mailroom
    private let drivers: SimulatedDrivers
    private let simulatedDrivers: [SimulatedDriver]
    private var random: SeededRandom
    private var listenerCount = 0

    /// - Parameters:
    ///   - reactorCount: At least 1.
    ///   - network: A network that has no drivers yet.
    ///   - configuration: The limits of every reactor. `idleSpin` needs a `clockStep` of the network's.
    ///   - seed: What the order of turns is drawn from.
    ///   - log: Where the reactors' log goes.
    public init(
        reactorCount: Int,
        network: SimulatedNetwork,
        configuration: ReactorConfiguration = ReactorConfiguration(),
        seed: UInt64 = 0,
        log: any LogSink = SilentLog()
    ) {
        let drivers = SimulatedDrivers(network: network)
        let made = (0..<reactorCount).map { drivers.makeSimulatedDriver(reactor: $0, configuration: configuration) }
        let mailroom = Mailroom(reactorCount: reactorCount, configuration: configuration)
        self.network = network
        self.mailroom = mailroom
        self.drivers = drivers
        simulatedDrivers = made
        reactors = made.map { driver in
            Reactor(index: driver.index, configuration: configuration, driver: driver, mailroom: mailroom, log: log)
        }
        random = SeededRandom(seed: seed)
    }

    // MARK: Listening

    /// Listens at `address` with a socket and a factory of its own on every reactor.
    ///
    /// - Returns: The address, with the port that was chosen for port 0.
    /// - Throws: EADDRINUSE, or EMFILE over the network's descriptor limit; nothing is left open then.
    @discardableResult
    public func listen(
        at address: SocketAddress,
        backlog: Int = 1024,
        makeFactory: (_ reactor: Int) -> any StreamProtocolFactory
    ) throws(Errno) -> SocketAddress {
        var options = ListenOptions()
        options.sharedPort = reactors.count > 1
        var bound = address
        var sockets: [SocketHandle] = []
        do throws(Errno) {
            for _ in reactors {
                let socket = try drivers.bind(bound, options)
                sockets.append(socket)
                bound = try drivers.localAddress(of: socket)
            }
        } catch {
            sockets.forEach(drivers.close)
            throw error
        }
        for (reactor, socket) in zip(reactors, sockets) {
            _ = try drivers.listen(socket, backlog: backlog)
            let use = FactoryUse(makeFactory(reactor.index))
            try perform(on: reactor) { () throws(Errno) in
                try reactor.listen(on: socket, address: bound, use: use, listenerID: listenerCount)
            }
        }
        listenerCount += 1
        return bound
    }

    /// Stops listening everywhere; what waits to be accepted is served first.
    public func stopListening() {
        for reactor in reactors { reactor.perform { reactor.stopListening() } }
    }

    /// Ends what is still open, with `.engineStopped`: the last step of a test.
    public func endAllConnections() {
        for reactor in reactors { reactor.perform { reactor.endAllConnections() } }
    }

    /// A way to send values of one type between the reactors, as `Engine.makeChannel` makes them.
    ///
    /// - Parameters:
    ///   - type: The messages' type.
    ///   - lane: As with `Engine.makeChannel`.
    ///   - handler: Runs on the receiving reactor; `sender` is -1 outside of `perform`.
    @inlinable
    public func makeChannel<Message: Sendable>(
        of type: Message.Type = Message.self,
        lane: MailLane = .ordinary,
        handler: @escaping @Sendable (_ message: Message, _ sender: Int) throws -> Void
    ) -> Channel<Message> {
        Channel(mailroom, lane: lane, handler: handler)
    }

    /// Runs `body` on the reactor with the index, as its own callbacks run.
    public func perform<Result>(on index: Int, _ body: (Reactor) throws -> Result) rethrows -> Result {
        try reactors[index].perform { try body(reactors[index]) }
    }

    private func perform<Failure: Error>(on reactor: Reactor, _ body: () throws(Failure) -> Void) throws(Failure) {
        let result: Result<Void, Failure> = reactor.perform {
            do throws(Failure) { return .success(try body()) } catch { return .failure(error) }
        }
        try result.get()
    }

    // MARK: Running

    /// Runs turns until the condition holds, nothing is left to happen, or the turns are used up.
    ///
    /// - Parameters:
    ///   - maximumTurns: Turns of all reactors together that may be taken, at least 1.
    ///   - limit: Time may not jump beyond it; nil lets it go wherever the next timer is.
    ///   - condition: Asked before every turn.
    /// - Returns: Which of the three it was.
    @discardableResult
    public func run(
        maximumTurns: Int = 100_000,
        noLaterThan limit: MonotonicInstant? = nil,
        until condition: () -> Bool = { false }
    ) -> Outcome {
        let last = turnCount + maximumTurns
        while turnCount < last {
            if condition() { return .fulfilled }
            let now = network.now
            let due = simulatedDrivers.filter { $0.isDue(at: now) }
            if !due.isEmpty {
                turn(due[random.below(due.count)].index)
            } else if !everyoneTakesATurn(), !letTimePass(noLaterThan: limit) {
                return condition() ? .fulfilled : .idle
            }
        }
        return condition() ? .fulfilled : .outOfTurns
    }

    /// One turn of one reactor, without sleeping.
    public func turn(_ index: Int) {
        turnCount += 1
        let reactor = reactors[index]
        reactor.perform { reactor.turn() }
    }

    /// - Returns: True when one of them did something: others may have to do more, then.
    private func everyoneTakesATurn() -> Bool {
        let before = workDone
        var order = Array(reactors.indices)
        for index in order.indices.dropLast() { order.swapAt(index, index + random.below(order.count - index)) }
        for index in order { turn(index) }
        let now = network.now
        return workDone != before || simulatedDrivers.contains { $0.isDue(at: now) }
    }

    /// What the reactors have done so far, in numbers that stand still exactly when nobody does anything.
    private var workDone: UInt64 {
        let counted: [Counter] = [
            .events, .timersFired, .jobsRun, .mailSent, .mailReceived, .inboxJobs, .receives, .sends, .closed,
            .acceptCalls,
        ]
        return reactors.reduce(0) { sum, reactor in
            counted.reduce(sum) { $0 &+ reactor.handle.counters[$1] }
        }
    }

    /// - Returns: False when nothing will ever happen by itself, or only after the limit.
    private func letTimePass(noLaterThan limit: MonotonicInstant?) -> Bool {
        let never = MonotonicInstant(nanoseconds: .max)
        let ends = simulatedDrivers.compactMap(\.sleepsUntil) + [network.nextArrival].compactMap { $0 }
        guard let next = ends.min(), next < never, next <= limit ?? never else {
            if let limit, limit > network.now { network.advance(to: limit) }
            return false
        }
        network.advance(to: next)
        return true
    }
}
