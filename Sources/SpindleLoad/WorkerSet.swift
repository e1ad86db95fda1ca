// SPDX-License-Identifier: Apache-2.0

internal import Spindle
internal import Synchronization

/// The workers of a run, by reactor. Each worker is touched on its own reactor only.
// Sendable: the array is behind the lock; what is in it is handed out to the reactor of its index alone.
final class WorkerSet: @unchecked Sendable {
    private let lock = Mutex(State())
    private struct State {
        var stopTime: ContinuousClock.Instant?
        var results: [Int: LoadWorkerResult] = [:]
    }
    private var workers: [LoadWorker?]

    init(count: Int) { workers = Array(repeating: nil, count: count) }

    func set(_ worker: LoadWorker, at index: Int) { lock.withLock { _ in workers[index] = worker } }

    func get(_ index: Int) -> LoadWorker? { lock.withLock { _ in workers[index] } }

    func onEach(_ engine: Engine, _ body: @escaping @Sendable (LoadWorker) -> Void) async {
        await engine.onEveryReactor { [self] reactor in
            if let worker = get(reactor.index) { body(worker) }
        }
    }

    func failures(_ engine: Engine) async -> [LoadFailure] {
        let found = Mutex<[LoadFailure]>([])
        await onEach(engine) { worker in
            if let failure = worker.result.failure { found.withLock { $0.append(failure) } }
        }
        return found.withLock { $0 }
    }

    /// A worker stops counting now.
    func stopped() {
        lock.withLock { state in
            let now = ContinuousClock.now
            state.stopTime = max(state.stopTime ?? now, now)
        }
    }

    func elapsed(since start: ContinuousClock.Instant) -> Duration {
        lock.withLock { start.duration(to: $0.stopTime ?? .now) }
    }

    /// The figures, once every worker has finished: nothing runs on them any more.
    func results() -> [LoadWorkerResult] { lock.withLock { _ in workers.compactMap { $0?.result } } }
}
