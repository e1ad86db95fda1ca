// SPDX-License-Identifier: Apache-2.0

internal import SpindleCore
internal import SpindleSystem
internal import Synchronization

/// What became of a job or message for another reactor.
public enum SubmitResult: Sendable, Equatable {
    /// It will be handled there, in order, once; or reported undelivered if that reactor stops first.
    case sent
    /// There is no room: it was not taken. Try again later, or drop it.
    case full
    /// The reactor has stopped: it was not taken.
    case stopped
}

/// What other threads may hold of a reactor: the one thing of it that crosses them.
///
/// Small, Sendable and never a reason for the reactor to live on. As an actor it is what code on the reactor is
/// isolated to (`isolated ReactorHandle`): it has no state to be isolated, and its executor is the reactor.
public actor ReactorHandle {
    /// The reactor's place in its engine, counted from 0.
    public nonisolated let index: Int
    nonisolated let doorbell: Doorbell
    nonisolated let inbox: Inbox<InboxJob>
    package nonisolated let counters: Counters
    package nonisolated let recorder: TurnRecorder
    /// The bit of the bitmap that stands for the inbox.
    nonisolated let inboxBit: Int
    /// The last bit, which stands for the urgent lanes of all senders.
    nonisolated let urgentBit: Int
    private nonisolated let waker = Guarded<(any DriverWaker)?>(nil)
    private nonisolated let stopped = Atomic<Bool>(false)
    private nonisolated let thread = Atomic<Int32>(0)
    /// Its connections and those on their way to it.
    private nonisolated let load = Atomic<Int>(0)
    /// Who runs its tasks when it has stopped.
    nonisolated let lateTasks = LateTasks()
    /// What the reactor writes and others look at; on its node.
    private nonisolated let memory: LineMemory

    package init(index: Int, reactorCount: Int, configuration: ReactorConfiguration, node: Int? = nil) {
        self.index = index
        memory = LineMemory(byteCount: 128 << 10, node: node)
        counters = Counters(in: memory)
        recorder = TurnRecorder(in: memory)
        inboxBit = reactorCount
        urgentBit = reactorCount + 1
        doorbell = Doorbell(bitCount: reactorCount + 2, in: memory)
        inbox = Inbox(capacity: configuration.inboxCapacity)
    }

    /// Runs `job` on the reactor, in a later turn. From any thread. An error that it throws is logged.
    ///
    /// Jobs of one thread run in the order in which it submitted them.
    @discardableResult
    public nonisolated func submit(_ job: @escaping @Sendable () throws -> Void) -> SubmitResult {
        if let reactor = Reactor.current, reactor.handle === self {
            reactor.callSoon(job)
            return .sent
        }
        return pushed(inbox.push(InboxJob(.closure(job))))
    }

    /// As `submit`, but never `.full`: for what an engine has to do with its reactors.
    @discardableResult
    package nonisolated func submitAlways(_ job: @escaping @Sendable () throws -> Void) -> SubmitResult {
        pushed(inbox.push(InboxJob(.closure(job)), isLimited: false))
    }

    nonisolated func pushed(_ outcome: Inbox<InboxJob>.Outcome) -> SubmitResult {
        let result = SubmitResult(outcome)
        if result == .sent { ring(inboxBit) }
        return result
    }

    /// Rings the doorbell, and wakes the reactor when it sleeps.
    ///
    /// - Returns: True when it slept.
    @discardableResult
    nonisolated func ring(_ bit: Int) -> Bool {
        guard doorbell.ring(bit) else { return false }
        wake()
        return true
    }

    nonisolated func wake() { waker.withLock { $0 }?.wake() }

    /// The reactor sleeps between two turns that a simulation takes for it.
    ///
    /// - Returns: False when mail has come meanwhile: it has to look instead.
    package nonisolated func fellAsleep() -> Bool { doorbell.prepareToSleep() }

    /// Its next turn begins.
    package nonisolated func wokeUp() { doorbell.wakeUp() }

    /// The reactor lives now, on the calling thread.
    nonisolated func attach(_ waker: any DriverWaker) {
        thread.store(SystemThread.currentID, ordering: .releasing)
        self.waker.withLock { $0 = waker }
    }

    /// The kernel's number of the reactor's thread (gettid(2)), or nil when it has none yet or no more.
    package nonisolated var threadID: Int32? {
        let id = thread.load(ordering: .acquiring)
        return id == 0 || isStopped ? nil : id
    }

    /// Its connections, with those on their way to it: what others go by when they hand over. From any thread.
    ///
    /// A reactor that stalls takes nothing: without those on their way it would look as empty as before, and get all.
    /// One number, and not a sum of two: a connection that arrives between two readings would be in neither.
    package nonisolated var connectionLoad: Int { load.load(ordering: .relaxed) }

    /// One connection more: a reactor's own one, or one that another sends to it.
    nonisolated func addToLoad() { load.add(1, ordering: .relaxed) }

    /// A connection was closed, or one that was sent did not come to be.
    nonisolated func takeFromLoad() { load.subtract(1, ordering: .relaxed) }

    /// True once the reactor handles nothing any more.
    nonisolated var isStopped: Bool { stopped.load(ordering: .acquiring) }

    /// The reactor handles nothing any more. On its thread: jobs that still wait are dropped, tasks go on elsewhere,
    /// and its waker, a descriptor, is let go of even while handles live on.
    package nonisolated func markStopped() {
        stopped.store(true, ordering: .releasing)
        closeInbox()
        waker.withLock { $0 = nil }
    }

    nonisolated func closeInbox() {
        var dropped = 0
        inbox.close { job in
            switch job.work {
            case .closure: dropped += 1
            case .task(let task): lateTasks.enqueue(task, of: self)
            }
        }
        counters.add(.mailUndelivered, dropped)
    }
}
