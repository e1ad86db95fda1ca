// SPDX-License-Identifier: Apache-2.0

package import SpindleCore
internal import SpindleSystem
internal import Synchronization

/// Threads for work that blocks or takes long, off the reactors' cores; results come back on the calling reactor.
///
/// An engine has one (`Engine.blockingPool`), which stops with it: what was taken is finished, within the stop's
/// deadline. Threads are made as work comes, up to the maximum, and end when they have had nothing to do for a while.
/// Work that comes before its first start waits for it.
///
/// Work starts in the order in which it was given. What does not fit into the queue is refused, never blocked.
public final class BlockingPool: Sendable {
    /// The limits of a pool. Each says what happens when it is met.
    public struct Configuration: Sendable, Equatable {
        /// Threads at most, at least 1; with all of them at work, more work waits.
        public var maximumThreads = 16
        /// Work that may wait; more is refused with `.full`.
        public var queueCapacity = 10_000
        /// A thread that had nothing to do for so long ends.
        public var idleTime: Duration = .seconds(30)
        /// Threads are called so, with a number behind it; cut to 15 bytes in all. pthread_setname_np(3).
        public var threadName = "spindle-pool"

        /// The defaults above.
        public init() {}
    }

    /// Why work was not done.
    public enum Refusal: Error, Equatable, CustomStringConvertible {
        /// As much waits as the queue takes: try again later, or raise `--blocking-queue`.
        case full
        /// The pool has stopped, or its engine stopped before the work's turn came.
        case stopped

        /// Nil when the work was taken.
        init?(_ result: SubmitResult) {
            switch result {
            case .sent: return nil
            case .full: self = .full
            case .stopped: self = .stopped
            }
        }

        /// One line for a log.
        public var description: String {
            switch self {
            case .full: "the blocking pool's queue is full: try again later, or raise --blocking-queue"
            case .stopped: "the blocking pool has stopped"
            }
        }
    }

    private typealias Work = @Sendable () -> Void

    private enum Phase { case idle, running, stopping, stopped }

    private struct State {
        var phase = Phase.idle
        var queue = JobQueue<Work>()
        var maximumThreads: Int
        var threadCount = 0
        var idleCount = 0
        var nextNumber = 0
        /// Where threads run; nil for wherever the one that made them does.
        var cpus: [Int]?

        mutating func takeQueue() -> JobQueue<Work> {
            var taken = JobQueue<Work>()
            swap(&taken, &queue)
            return taken
        }
    }

    private let configuration: Configuration
    private let state: Monitor<State>

    /// A pool without threads: `start` lets work begin.
    package init(_ configuration: Configuration = Configuration()) {
        precondition(configuration.maximumThreads > 0, "a pool of \(configuration.maximumThreads) threads")
        self.configuration = configuration
        state = Monitor(State(maximumThreads: configuration.maximumThreads))
    }

    /// A pool of your own that runs at once; `stop` ends it.
    public static func running(_ configuration: Configuration = Configuration()) -> BlockingPool {
        let pool = BlockingPool(configuration)
        pool.start()
        return pool
    }

    // MARK: What it has

    /// Threads at most, at least 1. Fewer than there are: those beyond it end after what they do now. From any thread.
    public var maximumThreads: Int {
        get { state.withLock(\.maximumThreads) }
        set {
            precondition(newValue > 0, "a pool of \(newValue) threads")
            state.changeForAll { $0.maximumThreads = newValue }
            addThreads()
        }
    }

    /// Threads now.
    public var threadCount: Int { state.withLock(\.threadCount) }
    /// Work that waits for a thread.
    public var waitingCount: Int { state.withLock(\.queue.count) }
    /// Work that is being done.
    public var busyCount: Int { state.withLock { $0.threadCount - $0.idleCount } }

    // MARK: Giving it work

    /// Does `work` on a thread of the pool. From any thread; never blocks.
    @discardableResult
    public func submit(_ work: @escaping @Sendable () -> Void) -> SubmitResult {
        let result: SubmitResult = state.change { state in
            switch state.phase {
            case .stopping, .stopped: return .stopped
            case .idle, .running:
                guard state.queue.count < configuration.queueCapacity else { return .full }
                state.queue.append(work)
                return .sent
            }
        }
        if result == .sent { addThreads() }
        return result
    }

    /// Does `work` on a thread of the pool and returns with its result, on the reactor that called.
    ///
    /// A cancelled task goes on at once: its work is not begun, or, when it has, runs to its end for nobody.
    ///
    /// - Throws: What `work` throws; `Refusal` when it was not done; `CancellationError`.
    public nonisolated(nonsending) func run<Result: Sendable>(
        _ work: @escaping @Sendable () throws -> Result
    ) async throws -> Result {
        let outcome = Outcome<Result>()
        let home = Reactor.current?.handle
        await outcome.cancelWith(isolation: #isolation) {
            await Suspension.wait { suspension in
                let resumption = HomeResumption(suspension, home)
                outcome.waits(resumption)
                let ticket = Ticket(resumption)
                let refused = submit { ticket.use { outcome.run(work) } }
                if let refusal = Refusal(refused) { outcome.set(.failure(refusal)) }
            }
        }
        return try outcome.take()
    }

    /// Does `work` on a thread of the pool and calls `completion` with its result on the calling reactor, in a later
    /// turn; never when that stops first.
    ///
    /// Traps on a thread that is no reactor.
    ///
    /// - Parameters:
    ///   - work: Runs on the pool.
    ///   - completion: Stays on its reactor. `Refusal` when the work was not done.
    public func deferToThread<Result: Sendable>(
        _ work: @escaping @Sendable () throws -> Result,
        completion: @escaping (Swift.Result<Result, any Error>) -> Void
    ) {
        let completion = Foreign(completion)
        let answer = Answer(completion)
        let refused = submit { answer.give(Swift.Result { try work() }) }
        if let refusal = Refusal(refused) { answer.give(.failure(refusal)) }
    }

    // MARK: Its life

    /// Lets work begin.
    ///
    /// - Parameter cpus: Where the threads run; nil for wherever the one that makes them does.
    package func start(on cpus: [Int]? = nil) {
        state.change { state in
            state.phase = .running
            state.cpus = cpus
        }
        addThreads()
    }

    /// Takes no more work, does what it was given, and ends its threads. Blocks the calling thread.
    ///
    /// - Parameter end: When to give up: work that has not begun by then is dropped, work that has is left to itself.
    /// - Returns: How much was not done, or not finished.
    @discardableResult
    package func stop(until end: MonotonicInstant) -> Int {
        // Let go of when the lock is: what work holds may call the pool as it goes.
        var dropped = [JobQueue<Work>]()
        state.changeForAll { state in
            // Without a start nobody will do it.
            if state.phase == .idle { dropped.append(state.takeQueue()) }
            state.phase = .stopping
        }
        // Work that was taken just now, and has no thread yet.
        addThreads()
        let left = state.wait(until: end) { state, isLast -> Int? in
            guard (state.threadCount == 0 && state.queue.isEmpty) || isLast else { return nil }
            let left = state.queue.count + state.threadCount
            dropped.append(state.takeQueue())
            state.phase = .stopped
            return left
        }
        return left ?? 0
    }

    /// Takes no more work, does what it was given, and ends its threads, within `limit`.
    ///
    /// - Returns: How much was not done, or not finished.
    @discardableResult
    public func stop(within limit: Duration = .seconds(10)) async -> Int {
        let end = SystemClock.now().advanced(by: limit)
        return await withCheckedContinuation { continuation in
            do throws(Errno) {
                try SystemThread.start(name: "spindle-stop") { continuation.resume(returning: self.stop(until: end)) }
            } catch { continuation.resume(returning: stop(until: end)) }
        }
    }

    /// Makes as many threads as there is work that nobody waits for.
    private func addThreads() {
        while let number = takeNumber() {
            do throws(Errno) {
                try SystemThread.start(name: "\(configuration.threadName)-\(number)") { [self] in serve() }
            } catch {
                // EAGAIN, the limit on threads: those that there are do it, later. None at all: the next work tries.
                state.changeForAll { $0.threadCount -= 1 }
                return
            }
        }
    }

    private func takeNumber() -> Int? {
        state.withLock { state in
            guard state.phase == .running || state.phase == .stopping, state.queue.count > state.idleCount,
                state.threadCount < state.maximumThreads
            else { return nil }
            state.threadCount += 1
            defer { state.nextNumber += 1 }
            return state.nextNumber
        }
    }

    /// The life of one thread.
    private func serve() {
        // One that a pinned reactor's thread made would stand in its way.
        if let cpus = state.withLock(\.cpus) {
            try? SystemThread.setAffinity(cpus)
            try? MemoryPolicy.reset()
        }
        while let work = next() { work() }
    }

    /// The next work, or nil when the thread is to end; it is not counted any more then.
    private func next() -> Work? {
        let end = SystemClock.now().advanced(by: configuration.idleTime)
        state.withLock { $0.idleCount += 1 }
        let next: Work?? = state.wait(until: end) { state, isLast -> Work?? in
            let isTooMany = state.threadCount > state.maximumThreads
            if !isTooMany, let work = state.queue.popFirst() {
                state.idleCount -= 1
                return work
            }
            guard isTooMany || isLast || state.phase != .running else { return nil }
            state.idleCount -= 1
            state.threadCount -= 1
            return .some(nil)
        }
        guard let work = next ?? nil else {
            // Whoever stops the pool waits for this.
            state.changeForAll { _ in }
            return nil
        }
        return work
    }
}

/// What became of work that a task waits for.
private final class Outcome<Value: Sendable>: Sendable {
    private struct State {
        var result: Result<Value, any Error>?
        var isCancelled = false
        var waiting: HomeResumption?
    }

    private let state = Guarded(State())

    /// On the pool.
    func run(_ work: () throws -> Value) {
        guard !state.withLock(\.isCancelled) else { return }
        set(Result { try work() })
    }

    func set(_ value: Result<Value, any Error>) {
        state.withLock { if !$0.isCancelled { $0.result = value } }
    }

    /// Dropped without having been run, when nothing was set.
    func take() throws -> Value {
        try state.withLock { state in
            if state.isCancelled { throw CancellationError() }
            guard let result = state.result.take() else { throw BlockingPool.Refusal.stopped }
            return try result.get()
        }
    }

    /// Cancelled before that, it does not wait.
    func waits(_ resumption: HomeResumption) {
        let isCancelled = state.withLock { state in
            state.waiting = resumption
            return state.isCancelled
        }
        if isCancelled { resumption.resume() }
    }

    private func cancel() {
        state.withLock { state in
            if state.result == nil { state.isCancelled = true }
            return state.waiting.take()
        }?.resume()
    }

    func cancelWith(isolation: isolated (any Actor)?, _ wait: () async -> Void) async {
        await withTaskCancellationHandler {
            _ = isolation
            await wait()
        } onCancel: {
            cancel()
        }
        // Or it would hold the task's resumption, and that the reactor's handle.
        state.withLock { $0.waiting = nil }
    }
}

/// What work holds that a task waits for: the task goes on when the work was done, or was dropped.
private final class Ticket: Sendable {
    private let resumption: HomeResumption

    init(_ resumption: HomeResumption) { self.resumption = resumption }

    deinit { resumption.resume() }

    func use(_ work: () -> Void) {
        work()
        resumption.resume()
    }
}

/// Resumes a task on the reactor where it waits, once, at the latest when nobody holds on to it any more.
private final class HomeResumption: Sendable {
    private let suspension: Guarded<Suspension?>
    private let home: ReactorHandle?

    init(_ suspension: Suspension, _ home: ReactorHandle?) {
        self.suspension = Guarded(suspension)
        self.home = home
    }

    deinit { take()?.resume() }

    func resume() {
        guard let home else { return take()?.resume() ?? () }
        // Resumed there, and not from here: it would come home by way of Swift's pool. Dropped, it resumes as it goes.
        home.submitAlways {
            self.take()?.resumeHere()
        }
    }

    private func take() -> Suspension? { suspension.withLock { $0.take() } }
}

/// Brings a result to the completion that waits for it at home.
private final class Answer<Value: Sendable>: Sendable {
    private let completion: Guarded<Foreign<(Result<Value, any Error>) -> Void>?>

    init(_ completion: Foreign<(Result<Value, any Error>) -> Void>) { self.completion = Guarded(completion) }

    /// The pool has dropped the work.
    deinit { give(.failure(BlockingPool.Refusal.stopped)) }

    func give(_ result: Result<Value, any Error>) {
        guard let completion = completion.withLock({ $0.take() }) else { return }
        completion.home.submitAlways { completion.take()?(result) }
    }
}
