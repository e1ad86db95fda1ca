// SPDX-License-Identifier: Apache-2.0

public import SpindleCore
public import SpindleReactor
internal import SpindleSystem
public import SpindleTopology

/// All reactors of a server: one per core, with their listeners, mailboxes, start and stop.
///
/// An engine may be started, stopped and started again, and a process may have several. Its methods may be
/// called from any thread; what runs on a reactor is said so.
///
///     let engine = try Engine()
///     try engine.listen(on: .any(port: 7000)) { Echo($0) }
///     try engine.run()
public final class Engine: Sendable {
    /// Where the engine is in its life.
    public enum Phase: Sendable, Equatable {
        /// Not started, or stopped.
        case idle
        /// Threads and reactors are being made.
        case starting
        /// Reactors run.
        case running
        /// Draining, or past it.
        case stopping
    }

    /// What the engine was made with.
    public let configuration: EngineConfiguration
    /// The machine, as it was when the engine was made.
    public let machine: MachineTopology
    /// Which reactor runs where, and why.
    public let placement: Placement
    /// Threads for work that blocks: they run with the engine, off its reactors' cores.
    public let blockingPool: BlockingPool
    package let log: any LogSink
    /// Looks up the names that connections of this side go to, for every reactor.
    public let resolver: any NameResolver
    /// Whom the process becomes at the start.
    let owner: ProcessOwner?
    let drivers: any DriverProvider
    let state: Guarded<EngineState>

    /// Plans where reactors will run; starts nothing.
    ///
    /// - Parameters:
    ///   - configuration: Placement, accepting, limits.
    ///   - drivers: Makes each reactor's driver; the simulated one for tests, or your own.
    ///   - log: Takes the engine's log; the default hands it to swift-log, which writes to standard error unless the
    ///     program has bootstrapped it otherwise. `SilentLog` drops it.
    ///   - resolver: Looks up names; nil asks the system (getaddrinfo(3)) on the blocking pool.
    ///   - machine: The machine to plan for; nil reads /sys and /proc.
    ///   - placement: A plan made before, instead of one from the configuration's request.
    /// - Throws: `OptionError` when limits contradict each other or there is no such user, `PlacementError` when the
    ///   request doesn't fit the machine.
    public init(
        _ configuration: EngineConfiguration = EngineConfiguration(),
        driver drivers: any DriverProvider = EpollDrivers(),
        log: any LogSink = SwiftLogSink.standard,
        resolver: (any NameResolver)? = nil,
        machine: MachineTopology? = nil,
        placement: Placement? = nil
    ) throws {
        try configuration.validate()
        owner = try Engine.owner(configuration)
        var configuration = configuration
        configuration.limits.pollMode = configuration.placement.pollMode
        let machine = machine ?? MachineTopology(reading: SystemFiles())
        self.machine = machine
        self.configuration = configuration
        self.drivers = drivers
        self.log = log
        blockingPool = BlockingPool(configuration.blocking)
        self.resolver = resolver ?? SystemResolver(blockingPool)
        let plan: Placement
        if let placement { plan = placement } else { plan = try Placement.plan(configuration.placement, on: machine) }
        self.placement = plan
        state = Guarded(EngineState(mailroom: Engine.makeMailroom(plan, configuration)))
    }

    private static func owner(_ configuration: EngineConfiguration) throws(OptionError) -> ProcessOwner? {
        guard let user = configuration.user else { return nil }
        do { return try ProcessOwner(user: user, group: configuration.group) } catch {
            let (option, given) = error == .noGroup ? ("group", configuration.group ?? "") : ("user", user)
            let allowed =
                switch error {
                case .noUser, .noGroup: "a \(option) of this machine (getent \(option == "user" ? "passwd" : "group"))"
                case .groupNeeded: "a user of this machine, or a number with --group"
                case .unreadable(let errno): "what the user database knows, which cannot be read: \(errno)"
                }
            throw OptionError(option: option, given: given, allowed: allowed)
        }
    }

    static func makeMailroom(_ placement: Placement, _ configuration: EngineConfiguration) -> Mailroom {
        Mailroom(
            reactorCount: placement.reactors.count,
            configuration: configuration.limits,
            nodes: placement.reactors.map(\.memoryNode)
        )
    }

    /// How many reactors there are.
    public var reactorCount: Int { placement.reactors.count }

    /// Where the engine is in its life.
    public var phase: Phase { state.withLock(\.phase) }

    @usableFromInline var mailroom: Mailroom { state.withLock(\.mailroom) }

    /// The reactors, as other threads may hold them; new ones after every stop.
    public var reactors: [ReactorHandle] { mailroom.handles }

    /// A way to send values of one type between this engine's reactors, until it stops.
    ///
    /// - Parameters:
    ///   - type: The messages' type.
    ///   - lane: `.urgent` overtakes what waits in ordinary channels, for few and short messages.
    ///   - undelivered: Told of messages that a reactor did not handle before it stopped.
    ///   - handler: Runs on the receiving reactor; `sender` is -1 for a thread that is no reactor of this engine.
    @inlinable
    public func makeChannel<Message: Sendable>(
        of type: Message.Type = Message.self,
        lane: MailLane = .ordinary,
        undelivered: (@Sendable (_ message: Message, _ receiver: Int) -> Void)? = nil,
        handler: @escaping @Sendable (_ message: Message, _ sender: Int) throws -> Void
    ) -> Channel<Message> {
        Channel(mailroom, lane: lane, undelivered: undelivered, handler: handler)
    }

    /// Runs `body` on every reactor once they run: at once when they do, else first thing after the start.
    ///
    /// Bodies run in the order of these calls. An error is logged.
    public func callWhenRunning(_ body: @escaping @Sendable (Reactor) throws -> Void) {
        let handles: [ReactorHandle] = state.withLock {
            if $0.phase == .running { return $0.mailroom.handles }
            $0.whenRunning.append(body)
            return []
        }
        for handle in handles { Engine.submit(body, to: handle) }
    }

    static func submit(_ body: @escaping @Sendable (Reactor) throws -> Void, to handle: ReactorHandle) {
        handle.submitAlways { if let reactor = Reactor.current { try body(reactor) } }
    }

    /// Runs `body` on every reactor and returns when all have; does nothing when they don't run.
    package func onEveryReactor(_ body: @escaping @Sendable (Reactor) -> Void) async {
        let handles = state.withLock { $0.phase == .running || $0.phase == .stopping ? $0.mailroom.handles : [] }
        await withTaskGroup(of: Void.self) { group in
            for handle in handles {
                group.addTask {
                    await withCheckedContinuation { continuation in
                        let resumption = Resumption(continuation)
                        Engine.submit(
                            { reactor in
                                body(reactor)
                                resumption.resume()
                            },
                            to: handle
                        )
                    }
                }
            }
        }
    }
}

/// What changes about an engine; behind its lock.
struct EngineState {
    var phase = Engine.Phase.idle
    var mailroom: Mailroom
    var listeners: [PendingListener] = []
    var nextListenerID = 0
    var whenRunning: [@Sendable (Reactor) throws -> Void] = []
    var triggers = TriggerList()
    /// In the order in which they were made.
    var services: [ShardedService] = []
    /// So many of them were made in the present start.
    var madeServiceCount = 0
    /// Opens when the last reactor's thread has ended.
    var finished: Latch?
    /// Passes on the tasks of pinned reactors while they run.
    var forwarder: TaskForwarder?
    var waiters: [CheckedContinuation<Void, Never>] = []
    /// Set by a second signal: do not wait for connections any longer.
    var hurry = false
    /// A stop was asked for while the engine was starting: it follows at once.
    var stopsAfterStart = false

    init(mailroom: Mailroom) { self.mailroom = mailroom }
}
