// SPDX-License-Identifier: Apache-2.0

internal import SpindleCore
public import SpindleReactor
internal import SpindleSystem

/// What an engine does with one sharded service at every start and stop.
struct ShardedService: Sendable {
    let make: @Sendable (Reactor) throws -> Void
    /// On the reactor with this handle.
    let stop: @Sendable (ReactorHandle) async throws -> Void
}

extension Engine {
    /// Has an instance of a service on every reactor, for as long as the engine runs.
    ///
    /// Instances are made at every start, before the first connection is accepted, service after service; on an engine
    /// that runs already, at once. At a stop, when connections have ended, `stop` is called for each, service after
    /// service in the reverse order, those of one service together; the instances go with their reactors.
    ///
    /// - Parameters:
    ///   - make: Makes a reactor's instance, on it. An error fails the start (`StartError.service`); on an engine that
    ///     runs already it is logged, and the instance is missing.
    ///   - stop: What an instance has to do before it goes, on its reactor. An error is logged. At the stop's deadline
    ///     it is left to itself.
    public func makeSharded<Service: AnyObject>(
        _ make: @escaping @Sendable (Reactor) throws -> Service,
        stop: Sharded<Service>.Work<Void>? = nil
    ) -> Sharded<Service> {
        let sharded = Sharded<Service>(
            shardCount: reactorCount,
            handles: { [weak self] in self?.runningReactors ?? [] },
            make: make
        )
        let service = ShardedService(
            make: { try sharded.make(on: $0) },
            stop: { handle in
                guard let stop else { return }
                try await handle.execute { _ in if let service = sharded.localIfMade { try await stop(service) } }
            }
        )
        let handles = state.withLock { state in
            state.services.append(service)
            return state.phase == .running ? state.mailroom.handles : []
        }
        for handle in handles { Engine.submit(service.make, to: handle) }
        return sharded
    }

    /// None while the engine is idle: what waited for its reactors would wait for the next start.
    private var runningReactors: [ReactorHandle] { state.withLock { $0.phase == .idle ? [] : $0.mailroom.handles } }

    /// Makes every instance, service after service, each on all reactors at once. Blocks the calling thread.
    ///
    /// - Throws: `StartError.service`, of the first that failed.
    func startServices() throws {
        let handles = state.withLock { state in
            state.madeServiceCount = 0
            return state.mailroom.handles
        }
        while let service = nextService() {
            let failures = Guarded<[(shard: Int, error: any Error)]>([])
            let made = Latch(count: handles.count)
            for handle in handles {
                let arrival = Arrival(at: made)
                Engine.submit(
                    { reactor in
                        do { try service.make(reactor) } catch {
                            failures.withLock { $0.append((reactor.index, error)) }
                        }
                        arrival.arrive()
                    },
                    to: handle
                )
            }
            made.wait()
            if let first = failures.withLock({ $0.min { $0.shard < $1.shard } }) {
                throw StartError.service(shard: first.shard, first.error)
            }
        }
    }

    /// The next service to make: one that another service's instance has made comes last.
    private func nextService() -> ShardedService? {
        state.withLock { state in
            guard state.madeServiceCount < state.services.count else { return nil }
            defer { state.madeServiceCount += 1 }
            return state.services[state.madeServiceCount]
        }
    }

    /// Stops every instance, service after service in the reverse order of their making.
    func stopServices(until end: MonotonicInstant) async {
        let (services, handles) = state.withLock { ($0.services, $0.mailroom.handles) }
        let log = log
        await Deadline.run(until: end) {
            for service in services.reversed() {
                await withTaskGroup(of: Void.self) { group in
                    for handle in handles {
                        group.addTask {
                            do { try await service.stop(handle) } catch {
                                let message = "a service's stop threw \(error)"
                                log.write(LogRecord(level: .error, message: message, reactor: handle.index))
                            }
                        }
                    }
                }
            }
        } missed: {
            log.write(LogRecord(level: .warning, message: "services missed the deadline; the stop goes on"))
        }
    }

    /// Does `work`, which may block, on a thread of `blockingPool` and returns with its result where it was called.
    ///
    /// - Throws: What `work` throws; `BlockingPool.Refusal` when it was not done; `CancellationError`.
    public nonisolated(nonsending) func blocking<Result: Sendable>(
        _ work: @escaping @Sendable () throws -> Result
    ) async throws -> Result {
        try await blockingPool.run(work)
    }
}
