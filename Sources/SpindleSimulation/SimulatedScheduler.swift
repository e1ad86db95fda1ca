// SPDX-License-Identifier: Apache-2.0

public import SpindleCore
public import SpindleReactor

/// Runs N reactors turn by turn on the calling thread, in an order drawn from a seed, on one simulated network.
///
/// A reactor takes a turn when it has reason to: events, a due timer, work of its own, another one that woke it. When
/// none has, all take one more (what that leads to is counted in `missedWakeUps`), and when that changed nothing
/// either, time jumps to whatever comes first: a timer or something on its way. So hours pass in milliseconds, and a
/// run can be had again from its two seeds, the scheduler's and the network's.
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
    /// Times that a reactor had something to do and nobody had told it so: a wake-up was lost. Must be 0 when every
    /// call from outside went through `perform`.
    public private(set) var missedWakeUps = 0
    private let drivers: SimulatedDrivers
    private let simulatedDrivers: [SimulatedDriver]
    /// By reactor: it was called from outside of its turns.
    private var isRestless: [Bool]
    /// By reactor: it takes no turns before then.
    private var stalledUntil: [MonotonicInstant]
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
        isRestless = made.map { _ in false }
        stalledUntil = made.map { _ in MonotonicInstant(nanoseconds: 0) }
        random = SeededRandom(seed: seed)
    }

    // MARK: Listening

    /// Listens at `address` with a socket and a factory of its own on every reactor.
    ///
    /// - Parameters:
    ///   - address: Port 0 lets the network choose one.
    ///   - indices: The reactors that listen, at least one; nil for all.
    ///   - backlog: Connections that may wait to be accepted, per socket.
    ///   - makeFactory: Makes a reactor's factory, on it.
    /// - Returns: The address, with the port that was chosen for port 0.
    /// - Throws: EADDRINUSE, or EMFILE over the network's descriptor limit; nothing is left open then.
    @discardableResult
    public func listen(
        at address: SocketAddress,
        on indices: [Int]? = nil,
        backlog: Int = 1024,
        makeFactory: (_ reactor: Int) -> any StreamProtocolFactory
    ) throws(Errno) -> SocketAddress {
        var options = ListenOptions()
        let reactors = (indices ?? Array(self.reactors.indices)).map { self.reactors[$0] }
        options.sharedPort = reactors.count > 1
        var bound = address
        var sockets: [SocketHandle] = []
        do throws(Errno) {
            for _ in reactors {
                let socket = try drivers.bind(bound, options)
                sockets.append(socket.socket)
                bound = socket.address
            }
        } catch {
            sockets.forEach(drivers.close)
            throw error
        }
        for (reactor, socket) in zip(reactors, sockets) {
            _ = try drivers.listen(socket, backlog: backlog)
            let use = reactor.use(of: makeFactory(reactor.index))
            try perform(on: reactor) { () throws(Errno) in
                try reactor.listen(on: ListeningSocket(socket, address: bound), use: use, listenerID: listenerCount)
            }
        }
        listenerCount += 1
        return bound
    }

    /// Stops listening everywhere; what waits to be accepted is served first.
    public func stopListening() {
        for index in reactors.indices { perform(on: index) { $0.stopListening() } }
    }

    /// Lets every connection send what it was given and close, as a stop of the engine does.
    public func drain() {
        for index in reactors.indices { perform(on: index) { $0.drain {} } }
    }

    /// Ends what is still open, with `.engineStopped`: the last step of a test.
    public func endAllConnections() {
        for index in reactors.indices { perform(on: index) { $0.endAllConnections() } }
    }

    /// A way to send values of one type between the reactors, as `Engine.makeChannel` makes them.
    ///
    /// - Parameters:
    ///   - type: The messages' type.
    ///   - lane: As with `Engine.makeChannel`.
    ///   - undelivered: Told of messages that were not handled before `stop`.
    ///   - handler: Runs on the receiving reactor; `sender` is -1 outside of `perform`.
    @inlinable
    public func makeChannel<Message: Sendable>(
        of type: Message.Type = Message.self,
        lane: MailLane = .ordinary,
        undelivered: (@Sendable (_ message: Message, _ receiver: Int) -> Void)? = nil,
        handler: @escaping @Sendable (_ message: Message, _ sender: Int) throws -> Void
    ) -> Channel<Message> {
        Channel(mailroom, lane: lane, undelivered: undelivered, handler: handler)
    }

    /// Runs `body` on the reactor with the index, as its own callbacks run.
    public func perform<Result>(on index: Int, _ body: (Reactor) throws -> Result) rethrows -> Result {
        isRestless[index] = true
        return try reactors[index].perform { try body(reactors[index]) }
    }

    /// Has the reactor take no turn for so long, as one whose callback does not return: others must not notice.
    public func stall(_ index: Int, for duration: Duration) {
        stalledUntil[index] = max(stalledUntil[index], network.now.advanced(by: duration))
    }

    /// True while the reactor takes no turns.
    public func isStalled(_ index: Int) -> Bool { stalledUntil[index] > network.now }

    private func perform<Failure: Error>(on reactor: Reactor, _ body: () throws(Failure) -> Void) throws(Failure) {
        isRestless[reactor.index] = true
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
            let due = reactors.indices.filter { isDue($0, at: now) && stalledUntil[$0] <= now }
            if !due.isEmpty {
                turn(due[random.below(due.count)])
            } else if !everyoneTakesATurn(), !letTimePass(noLaterThan: limit) {
                return condition() ? .fulfilled : .idle
            }
        }
        return condition() ? .fulfilled : .outOfTurns
    }

    private func isDue(_ index: Int, at now: MonotonicInstant) -> Bool {
        isRestless[index] || simulatedDrivers[index].isDue(at: now)
    }

    /// One turn of one reactor, without sleeping.
    public func turn(_ index: Int) {
        turnCount += 1
        let reactor = reactors[index]
        isRestless[index] = false
        reactor.handle.wokeUp()
        reactor.perform { reactor.turn() }
        // Asleep until its next turn: whoever has something for it has to wake it.
        if simulatedDrivers[index].sleepsUntil != nil, !reactor.handle.fellAsleep() { isRestless[index] = true }
    }

    /// - Returns: True when one of them did something: others may have to do more, then.
    private func everyoneTakesATurn() -> Bool {
        let (before, owed) = (workDone, workOwed)
        var order = Array(reactors.indices)
        for index in order.indices.dropLast() { order.swapAt(index, index + random.below(order.count - index)) }
        let now = network.now
        for index in order where stalledUntil[index] <= now { turn(index) }
        if workOwed != owed { missedWakeUps += 1 }
        return workDone != before || reactors.indices.contains { isDue($0, at: now) && stalledUntil[$0] <= now }
    }

    /// What the reactors have done so far, in numbers that stand still exactly when nobody does anything.
    /// Not events: a fault may repeat them for ever, and a reactor that has one is due anyway.
    private var workDone: UInt64 {
        sum([.mailSent, .bytesReceived, .bytesSent, .closed, .accepted, .taskSteps]) &+ workOwed
    }

    /// The part of it that a reactor is woken for, by others or by a timer.
    private var workOwed: UInt64 { sum([.timersFired, .jobsRun, .mailReceived, .inboxJobs]) }

    private func sum(_ counted: [Counter]) -> UInt64 {
        reactors.reduce(0) { sum, reactor in counted.reduce(sum) { $0 &+ reactor.handle.counters[$1] } }
    }

    /// - Returns: False when nothing will ever happen by itself, or only after the limit.
    private func letTimePass(noLaterThan limit: MonotonicInstant?) -> Bool {
        let never = MonotonicInstant(nanoseconds: .max)
        let wakeUps = reactors.indices.map { index in
            let end = isDue(index, at: network.now) ? network.now : simulatedDrivers[index].sleepsUntil ?? network.now
            return max(end, stalledUntil[index])
        }
        let ends = wakeUps + [network.nextArrival].compactMap { $0 }
        guard let next = ends.min(), next < never, next <= limit ?? never else {
            if let limit, limit > network.now { network.advance(to: limit) }
            return false
        }
        network.advance(to: next)
        return true
    }
}
