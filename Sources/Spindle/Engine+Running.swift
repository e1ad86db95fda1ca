// SPDX-License-Identifier: Apache-2.0

internal import SpindleCore
internal import SpindleReactor
internal import SpindleSystem
internal import SpindleTopology
internal import Synchronization

extension Engine {
    /// Starts every reactor on a thread of its own; returns when all run and accept.
    ///
    /// Startup triggers run on a thread of their own: starting takes milliseconds and blocks nobody's thread.
    ///
    /// - Throws: `StartError`, or what a startup trigger threw; nothing runs then.
    public func start() async throws {
        try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
            do throws(Errno) {
                try SystemThread.start(name: "spindle-start") {
                    continuation.resume(with: Result { try self.start() })
                }
            } catch { continuation.resume(throwing: StartError.noResources(error)) }
        }
    }

    /// As the asynchronous `start`, blocking the calling thread, on which startup triggers run.
    @available(*, noasync, message: "use `try await engine.start()`")
    public func start() throws {
        try state.withLock {
            guard $0.phase == .idle else { throw StartError.alreadyRunning }
            $0.phase = .starting
            $0.hurry = false
            $0.stopsAfterStart = false
        }
        do {
            try checkDescriptors()
            try dropPrivileges()
            try runStartupTriggers(.before)
            try startReactors()
            blockingPool.start(on: blockingCPUs)
            try startServices()
            try runStartupTriggers(.during)
        } catch {
            abandonStart()
            throw error
        }
        let (listeners, handles, bodies, services) = state.withLock { state in
            state.phase = .running
            defer {
                state.listeners = []
                state.whenRunning = []
            }
            let late = state.services[state.madeServiceCount...]
            return (state.listeners, state.mailroom.handles, state.whenRunning, late)
        }
        // Those that startup triggers, or other services, have made.
        for service in services { for handle in handles { Engine.submit(service.make, to: handle) } }
        let accepting = startListening(listeners, on: handles)
        for body in bodies { for handle in handles { Engine.submit(body, to: handle) } }
        accepting.wait()
        do { try runStartupTriggers(.after) } catch {
            log.write(LogRecord(level: .error, message: "a startup trigger threw \(error)"))
        }
        if state.withLock(\.stopsAfterStart) { Task.detached { [self] in await stop() } }
    }

    /// What had to be root is done: sockets are bound and limits raised. Nothing of the program's own has run.
    private func dropPrivileges() throws {
        guard let owner else { return }
        do throws(Errno) { try owner.become() } catch {
            throw StartError.owner(user: configuration.user ?? "", error)
        }
    }

    private func checkDescriptors() throws {
        // Beyond a billion per reactor it is not descriptors that run out.
        let wanted = min(configuration.limits.maximumConnections, 1 << 30)
        // Some for the engine itself: drivers, wakers, listeners, standard streams, files of the program.
        let perEngine = 64 + reactorCount * 4
        guard configuration.limits.maximumConnections < Int.max else {
            let limit = try DescriptorLimit.raise(to: .max)
            return DescriptorLimit.growTable(
                to: Int(min(limit.soft, UInt64(max(configuration.descriptorTableSize, 1))))
            )
        }
        let limit = try DescriptorLimit.raise(to: UInt64(wanted * reactorCount + perEngine))
        guard limit.soft >= UInt64(wanted + perEngine) else {
            throw StartError.descriptors(wanted: wanted, hardLimit: limit.hard)
        }
        DescriptorLimit.growTable(to: Int(min(limit.soft, UInt64(wanted * reactorCount + perEngine))))
    }

    private func startReactors() throws {
        let mailroom = mailroom
        let forwarder = try makeForwarder()
        let ready = Latch(count: reactorCount)
        let finished = Latch(count: reactorCount)
        let failures = FailureList()
        state.withLock { $0.finished = finished }
        for index in 0..<reactorCount {
            let thread = ReactorThread(engine: self, index: index, mailroom: mailroom, forwarder: forwarder)
            do throws(Errno) {
                try SystemThread.start(name: "spindle-\(index)") {
                    thread.run(ready: ready, failures: failures)
                    finished.arrive()
                }
            } catch {
                failures.add(index, error)
                ready.arrive()
                finished.arrive()
            }
        }
        ready.wait()
        if let failure = failures.first { throw StartError.reactor(index: failure.index, errno: failure.errno) }
    }

    /// What reactors that have a place of their own start tasks through; nil when all float.
    private func makeForwarder() throws -> TaskForwarder? {
        guard placement.isPinned || machine.nodes.count > 1 else { return nil }
        do throws(Errno) {
            let forwarder = try TaskForwarder()
            state.withLock { $0.forwarder = forwarder }
            return forwarder
        } catch { throw StartError.noResources(error) }
    }

    private func abandonStart() {
        let stopped = Latch()
        Task.detached { [self] in
            await stopServices(until: SystemClock.now().advanced(by: .seconds(1)))
            stopped.arrive()
        }
        stopped.wait()
        blockingPool.stop(until: SystemClock.now().advanced(by: .seconds(1)))
        let (finished, handles) = state.withLock { ($0.finished, $0.mailroom.handles) }
        for handle in handles { Engine.submit({ $0.stop() }, to: handle) }
        finished?.wait()
        reset()
    }

    /// Stops the engine: what runs finishes or meets the deadline. Repeated calls wait for the first one's end.
    ///
    /// `before` triggers run, then every reactor stops accepting, then connections send what they were given and
    /// close, then `during` triggers run, reactors end (what is still open is reset), `after` triggers run.
    ///
    /// A stop during the start follows the start. A handler that awaits it waits for its own end, until the deadline:
    /// there, begin it in a task of its own (`Task.detached { await engine.stop() }`).
    ///
    /// - Parameter deadline: How long triggers and connections may take together; nil is `drainTimeout`. Triggers of
    ///   `during` and `after` have at least a second each.
    public func stop(deadline: Duration? = nil) async {
        let isFirst = state.withLock {
            if $0.phase == .starting { $0.stopsAfterStart = true }
            guard $0.phase == .running else { return false }
            $0.phase = .stopping
            return true
        }
        guard isFirst else { return await waitUntilStopped() }
        let end = SystemClock.now().advanced(by: deadline ?? configuration.drainTimeout)
        await runShutdownTriggers(.before, until: end)
        await onEveryReactor { $0.stopListening() }
        await drain(until: end)
        await runShutdownTriggers(.during, until: Engine.withGrace(end))
        await onEveryReactor { $0.endAllConnections() }
        await stopServices(until: Engine.withGrace(end))
        await stopBlockingPool(until: Engine.withGrace(end))
        let (finished, handles) = state.withLock { ($0.finished, $0.mailroom.handles) }
        for handle in handles { Engine.submit({ $0.stop() }, to: handle) }
        await Engine.wait(for: finished)
        await runShutdownTriggers(.after, until: Engine.withGrace(end))
        reset()
    }

    /// Off the reactors' CPUs, when those are theirs alone and others are left; nil for wherever a thread is made.
    private var blockingCPUs: [Int]? {
        guard placement.isPinned else { return nil }
        let free = placement.reactors.reduce(machine.usableCPUs) { $0.subtracting($1.allowedCPUs) }
        return Array(free.isEmpty ? machine.usableCPUs : free)
    }

    private func stopBlockingPool(until end: MonotonicInstant) async {
        let left = await blockingPool.stop(within: SystemClock.now().duration(to: end))
        guard left > 0 else { return }
        let message = "\(left) pieces of blocking work missed the deadline; the stop goes on"
        log.write(LogRecord(level: .warning, message: message))
    }

    /// The end, or a second from now when that is later: what has to be written down must not depend on how long
    /// connections took.
    private static func withGrace(_ end: MonotonicInstant) -> MonotonicInstant {
        max(end, SystemClock.now().advanced(by: .seconds(1)))
    }

    /// Ends a stop that is under way without waiting for connections any longer, or stops at once.
    public func stopNow() async {
        // What an idle engine's reactors are given they do first thing after the next start.
        let handles = state.withLock { state in
            guard state.phase != .idle else { return [ReactorHandle]() }
            state.hurry = true
            return state.mailroom.handles
        }
        for handle in handles { Engine.submit({ $0.endAllConnections() }, to: handle) }
        await stop(deadline: .zero)
    }

    /// Lets connections finish, twice: while the reactors begin to drain, those that have not may hand connections to
    /// those that have. Afterwards none does.
    private func drain(until end: MonotonicInstant) async {
        await drainOnce(until: end)
        await drainOnce(until: end)
    }

    private func drainOnce(until end: MonotonicInstant) async {
        let left = SystemClock.now().duration(to: end)
        let hurry = state.withLock(\.hurry)
        guard left > .zero, !hurry else { return }
        let handles = reactors
        await withTaskGroup(of: Void.self) { group in
            for handle in handles {
                group.addTask {
                    await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
                        let resumption = Resumption(continuation)
                        Engine.submit(
                            { reactor in
                                // The deadline ends what is left, which is what completes the drain then.
                                let timer = reactor.callLater(left) { reactor.endAllConnections() }
                                reactor.drain {
                                    timer.cancel()
                                    resumption.resume()
                                }
                            },
                            to: handle
                        )
                    }
                }
            }
        }
    }

    /// Waits on a thread of its own: the calling task's thread belongs to Swift's pool.
    private static func wait(for latch: Latch?) async {
        guard let latch else { return }
        await withCheckedContinuation { continuation in
            do throws(Errno) {
                try SystemThread.start(name: "spindle-join") {
                    latch.wait()
                    continuation.resume()
                }
            } catch {
                // No thread to be had: the wait is short, since every reactor was told to end.
                latch.wait()
                continuation.resume()
            }
        }
        // Open: for ThreadSanitizer, which sees what a lock orders and not what a continuation does.
        latch.wait()
    }

    /// Back to idle, with new handles: the old ones answer `.stopped`.
    private func reset() {
        // Listeners: asked for while the engine was stopping, or before a start that failed. Their sockets close.
        let (old, waiters, listeners, forwarder) = state.withLock { state in
            let old = (state.mailroom, state.waiters, state.listeners, state.forwarder)
            state.mailroom = Engine.makeMailroom(placement, configuration)
            state.phase = .idle
            state.finished = nil
            state.forwarder = nil
            state.listeners = []
            state.waiters = []
            state.hurry = false
            return old
        }
        forwarder?.close()
        listeners.forEach { $0.close() }
        old.discardUndelivered()
        for waiter in waiters { waiter.resume() }
    }

    /// Returns when the engine is idle: at once when it was never started.
    public func waitUntilStopped() async {
        await withCheckedContinuation { continuation in
            let isIdle = state.withLock {
                guard $0.phase != .idle else { return true }
                $0.waiters.append(continuation)
                return false
            }
            if isIdle { continuation.resume() }
        }
    }

    /// Starts, catches SIGINT and SIGTERM, and returns after the stop that they (or `stop`) cause.
    ///
    /// The first signal drains, a second one ends at once. Handlers that were there before are restored; SIGINT
    /// is left alone when the program handles it itself. SIGUSR2 writes the last turns of every reactor to the log.
    public func run() async throws {
        let watcher = try SignalWatcher(engine: self)
        try await start()
        watcher.start()
        await waitUntilStopped()
        watcher.stop()
    }

    /// As the asynchronous `run`, blocking the calling thread: for `main`.
    @available(*, noasync, message: "use `try await engine.run()`")
    public func run() throws {
        let watcher = try SignalWatcher(engine: self)
        try start()
        watcher.start()
        let done = Latch()
        Task.detached { [self] in
            await waitUntilStopped()
            done.arrive()
        }
        done.wait()
        watcher.stop()
    }
}
