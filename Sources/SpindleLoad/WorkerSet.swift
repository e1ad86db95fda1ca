// SPDX-License-Identifier: Apache-2.0

internal import Spindle
internal import Synchronization

/// The workers of a run, by reactor. Each worker is touched on its own reactor only.
// Sendable: the array is behind the lock; what is in it is handed out to the reactor of its index alone.
final class WorkerSet: @unchecked Sendable {
    private let lock = Mutex(())
    private var workers: [(any LoadWorker)?]

    init(count: Int) { workers = Array(repeating: nil, count: count) }

    func set(_ worker: any LoadWorker, at index: Int) { lock.withLock { _ in workers[index] = worker } }

    func get(_ index: Int) -> (any LoadWorker)? { lock.withLock { _ in workers[index] } }

    func onEach(_ engine: Engine, _ body: @escaping @Sendable (any LoadWorker, Reactor) -> Void) async {
        await engine.onEveryReactor { [self] reactor in
            if let worker = get(reactor.index) { body(worker, reactor) }
        }
    }

    func firstFailure(_ engine: Engine) async -> LoadFailure? {
        let found = Mutex<LoadFailure?>(nil)
        await onEach(engine) { worker, _ in
            guard let failure = worker.recorders.lazy.compactMap(\.failure).first else { return }
            found.withLock { $0 = $0 ?? failure }
        }
        return found.withLock { $0 }
    }

    /// The figures of all since the last call: of the work, and of what comes and goes beside it.
    func takeFigures(_ engine: Engine) async -> (work: LoadFigures, churn: LoadFigures) {
        let sums = Mutex((work: LoadFigures(), churn: LoadFigures()))
        await onEach(engine) { worker, _ in
            let figures = worker.recorder.takeFigures()
            let churn = worker.churnRecorder?.takeFigures()
            sums.withLock {
                $0.work.add(figures)
                if let churn { $0.churn.add(churn) }
            }
        }
        return sums.withLock { $0 }
    }
}
