// SPDX-License-Identifier: Apache-2.0

public import SpindleCore
internal import SpindleSystem
internal import Synchronization

/// One core's event loop: it owns a driver, connections, timers and a mailbox, and nobody else touches them.
///
/// Made, run and destroyed on one thread; not Sendable. What other threads may hold is its `handle`. Every call
/// traps with a message when unsafe code brings it to another thread.
///
/// A turn costs one wait of the driver and one reading of the clock; an event costs what its callback does.
public final class Reactor {
    // What every event touches stands first, in neighbouring cache lines.
    let driver: any Driver
    let counters: Counters
    /// The connection whose callback runs: what it writes is corked.
    var corked = EventToken.none
    private var turnTime: MonotonicInstant
    /// The longest callback so far, in ticks.
    var longestCallbackTicks: UInt64 = 0
    @exclusivity(unchecked) var uncheckedCork: Cork
    @exclusivity(unchecked) var uncheckedTable = ConnectionTable()
    @exclusivity(unchecked) var uncheckedEvents: EventBuffer
    let doorbell: Doorbell
    let recorder: TurnRecorder

    /// The limits that hold here.
    public let configuration: ReactorConfiguration
    /// The reactor's place in its engine, counted from 0.
    public let index: Int
    /// What other threads and reactors reach this reactor by.
    public let handle: ReactorHandle

    /// What code that runs here is isolated to.
    public var isolation: ReactorHandle { handle }
    /// Where its tasks wait for input.
    let waitingRoom: WaitingRoom
    /// Connections whose handlers have not ended, by number: from a connection's begin to its handler's end.
    // tidy: allow banned: asked when a handler begins and when it ends, not for an event
    var handlers: [UInt64: StreamConnection] = [:]
    /// Tasks for other reactors whose mailboxes are full, by reactor.
    var hopsThatWait: ContiguousArray<JobQueue<UnownedJob>> = []
    /// A timer will look for room.
    var looksForRoom = false
    /// This reactor's instances of sharded services, and what each is of: see Sharded.swift.
    var services: ContiguousArray<AnyObject> = []
    var serviceIDs: ContiguousArray<ServiceID> = []
    /// True while a step of a task runs: what it writes is corked, and leaves when it ends.
    var isRunningStep = false
    /// True while a task is resumed that waited here.
    var isResuming = false

    let mailroom: Mailroom
    @usableFromInline let mailroomKey: MailroomKey
    /// What `outbox` sends into.
    @usableFromInline let outlets: Outlets
    package let log: any LogSink
    let pool: BufferPool
    let defaultIdleTimeout: UInt64

    var acceptors: [Acceptor?] = []
    /// Connections of this side that are being made and may have several addresses.
    var attempts: [ConnectAttempt] = []
    /// The factories that somebody uses.
    var factoryUses: [FactoryUse] = []
    /// Descriptors of others that are waited for: few, so they are looked for one by one.
    var watches: ContiguousArray<DescriptorWatch> = []
    var watchCount: UInt32 = 0
    /// UDP sockets, by slot, and the slots that are free.
    var ports: ContiguousArray<DatagramPort?> = []
    var freePorts: ContiguousArray<Int> = []
    var portCount: UInt32 = 0
    /// Those with datagrams left that no edge will announce.
    var readyPorts: ContiguousArray<DatagramPort> = []
    /// Those that were opened within a callback, whose protocols have not been started.
    var startingPorts: ContiguousArray<DatagramPort> = []
    /// Those whose peers have refused them, whose protocols have not been told.
    var refusedPorts: ContiguousArray<DatagramPort> = []
    /// Those whose protocols have not been told yet that they are closed.
    var closedPorts: ContiguousArray<DatagramPort> = []
    /// Sockets whose handlers have not ended.
    var endpoints: ContiguousArray<DatagramEndpoint> = []
    /// Nil while there has been no UDP socket.
    var datagramRoom: DatagramRoom? { didSet { usesDatagrams = datagramRoom != nil } }
    /// What every turn asks.
    private(set) var usesDatagrams = false
    /// Looks up the names that connections of this side go to.
    public var resolver: any NameResolver = NoResolver()
    /// Reads files that are not in memory; without one, whoever sends them waits for their disk.
    package var blockingPool: BlockingPool?
    private var connectionNumber: UInt64 = 0

    // Unchecked: each is used through the accessor of its name in Reactor+State.swift, which says why.
    @exclusivity(unchecked) var uncheckedWheel: TimerWheel<TimerAction>
    @exclusivity(unchecked) var uncheckedJobs = JobQueues()
    @exclusivity(unchecked) var uncheckedTasks = JobQueue<UnownedJob>()
    @exclusivity(unchecked) var uncheckedPieces = SendPieces()
    @exclusivity(unchecked) var uncheckedReadyList: ContiguousArray<Connection> = []
    @exclusivity(unchecked) var uncheckedFlushList: ContiguousArray<Connection> = []
    @exclusivity(unchecked) var uncheckedCloseQueue = CloseQueue()
    @exclusivity(unchecked) var uncheckedReadyAcceptors: ContiguousArray<Acceptor> = []
    @exclusivity(unchecked) var uncheckedOutbox: Outbox
    @exclusivity(unchecked) var uncheckedIntake = MailIntake()
    var seldomWarnings = SeldomWarnings()
    private(set) var isStopped = false
    /// Everything ends now: new connections of this side fail at once.
    var isEnding = false
    /// Called once when the last connection is closed.
    var drained: (() -> Void)?
    /// Called at the start of every turn: for those who bring something of their own to poll.
    ///
    /// Set it on the reactor's thread (`Engine.callWhenRunning`). It costs every turn what it takes, and a reactor
    /// that sleeps takes no turns: with something to poll, have `callLater` or `ReactorHandle.submit` cause one.
    public var turnHook: (() -> Void)? { didSet { hasTurnHook = turnHook != nil } }
    /// What every turn asks: the closure itself would be checked and counted for the answer.
    private var hasTurnHook = false

    #if DEBUG
        /// A mistake to make, for the simulator to find.
        package var plantedBug: PlantedBug?
        var plantedOccasions = 0
    #endif

    /// A reactor that runs when its thread calls `run`, or turn by turn.
    package init(
        index: Int = 0,
        configuration: ReactorConfiguration = ReactorConfiguration(),
        driver: any Driver,
        mailroom: Mailroom? = nil,
        log: any LogSink = SilentLog()
    ) {
        configuration.checkInvariants()
        self.index = index
        self.configuration = configuration
        self.driver = driver
        self.log = log
        let mailroom = mailroom ?? Mailroom(reactorCount: 1, configuration: configuration)
        self.mailroom = mailroom
        mailroomKey = mailroom.key
        handle = mailroom.handles[index]
        waitingRoom = WaitingRoom()
        counters = handle.counters
        doorbell = handle.doorbell
        pool = BufferPool()
        let outbox = Outbox(reactorCount: mailroom.handles.count)
        outlets = outbox.outlets
        unsafe uncheckedOutbox = outbox
        recorder = handle.recorder
        unsafe uncheckedEvents = EventBuffer(capacity: configuration.eventsPerWait)
        unsafe uncheckedCork = Cork(capacity: configuration.corkBytes)
        defaultIdleTimeout = configuration.idleTimeout.map { UInt64(max($0.clampedNanoseconds, 1)) } ?? 0
        driver.start()
        turnTime = driver.now()
        unsafe uncheckedWheel = TimerWheel(currentTick: Ticks.floor(turnTime))
        handle.attach(driver.waker)
        Reactor.live.add(1, ordering: .relaxed)
        Reactor.claimTasks()
    }

    deinit { Reactor.live.subtract(1, ordering: .relaxed) }

    private static let live = Atomic<Int>(0)
    /// Reactors that exist in the process, with their timers and connections: 0 after every stop. For tests.
    package static var liveCount: Int { live.load(ordering: .relaxed) }

    /// The time of this turn, read once.
    public internal(set) var now: MonotonicInstant {
        get { turnTime }
        set { turnTime = newValue }
    }

    /// The time now: reads the clock, about 28 ns; `now` is that of the turn.
    public func readClock() -> MonotonicInstant { driver.now() }

    // MARK: The loop

    /// Runs turns until `stop` was called.
    package func run() {
        perform { while !isStopped { turn() } }
    }

    /// One turn, waiting at most so many nanoseconds; negative for as long as nothing is due.
    package func turn(maximumWait: Int64 = -1) {
        beginTurn()
        drainMail()
        expireTimers()
        runJobs()
        flush()
        wait(atMost: maximumWait)
        dispatch()
    }

    /// Ends `run` after this turn. On the reactor's thread; from another, submit it.
    package func stop() { isStopped = true }

    /// Turns on after `stop`, asleep between turns, while `condition` holds.
    func goOn(while condition: () -> Bool) {
        isStopped = false
        while condition() { turn(maximumWait: 1_000_000) }
        isStopped = true
    }

    /// True once connections are being ended, as by a drain.
    package var isDraining: Bool { isEnding }

    /// Lets go of everything that may refer back to the reactor, so that it goes when its thread does.
    package func tearDown() {
        perform {
            stopListening()
            endAllConnections()
            endPorts()
            (endpoints, datagramRoom) = ([], nil)
            endWatches()
            _ = table.takeRemoved()
            discardJobs()
            intake = MailIntake()
            turnHook = nil
            removeServices()
            giveUpHops()
            // What was let go of may have scheduled more.
            discardJobs()
        }
        // Not as this reactor any more: while it is current on this thread, what it lets go of may add tasks.
        while let task = tasks.popFirst() { handle.lateTasks.enqueue(task, of: handle) }
    }

    /// Gives up timers and jobs, and counts the jobs: some may have come from other threads.
    private func discardJobs() {
        counters.add(.mailUndelivered, jobs.own.count + jobs.foreign.count)
        for case .resume(let task) in wheel.takeAll() { resume(task) }
        // Destroyed here and not in the assignment: what they hold may call back, undelivered messages do.
        var left = (own: JobQueue<JobQueues.Closure>(), foreign: JobQueue<JobQueues.Closure>())
        swap(&left.own, &jobs.own)
        swap(&left.foreign, &jobs.foreign)
    }

    private func beginTurn() {
        recorder.beginTurn(now)
        counters.add(.turns)
        if hasTurnHook { turnHook?() }
    }

    func nextConnectionNumber() -> UInt64 {
        connectionNumber += 1
        return connectionNumber
    }

    // MARK: What is here

    /// Connections that are open here, those included that are only waiting for the peer's close.
    public var connectionCount: Int { table.count }

    /// Calls `body` with the transport of every connection that has a protocol.
    public func forEachConnection(_ body: (any StreamTransport) -> Void) {
        for connection in served { body(connection) }
    }

    /// The connections that have a protocol, as each is come to: what is done to one may end another.
    var served: some Sequence<Connection> {
        table.all.lazy.filter { $0.state.isLive && $0.state.flags.contains(.served) }
    }

    /// Calls `loseConnection` on every connection.
    public func loseAllConnections() { forEachConnection { $0.loseConnection() } }

    func checkInvariants() {
        table.checkInvariants()
        precondition(corked == .none && cork.count == 0, "something is corked between callbacks")
    }
}
