// SPDX-License-Identifier: Apache-2.0

internal import SpindleCore
internal import SpindleSystem
internal import Synchronization

/// Swift's global pool of threads.
enum TaskPool {
    /// Makes the pool start its threads now, on a thread that is not pinned. Once per process.
    ///
    /// A thread inherits the mask of the thread that creates it, and the pool creates threads from whichever
    /// thread hands it work: left to itself, a pinned reactor would give birth to pool threads on its own CPU.
    /// Bounded: when the caller is itself on a pool thread, one fewer can be started, and that is known only by
    /// waiting.
    static func startThreads() { _ = started }

    private static let started: Void = {
        let cpus = (try? SystemThread.affinity().count) ?? 1
        let arrived = Arrivals()
        let end = SystemClock.now().advanced(by: .milliseconds(20))
        for _ in 0..<cpus {
            Task.detached {
                arrived.count.add(1, ordering: .relaxed)
                // Held until all have started: else one thread would take all of these, one after the other.
                arrived.wait(for: cpus, until: end)
            }
        }
        arrived.wait(for: cpus, until: end)
    }()

    private final class Arrivals: Sendable {
        let count = Atomic<Int>(0)

        func wait(for expected: Int, until end: MonotonicInstant) {
            while count.load(ordering: .relaxed) < expected, SystemClock.now() < end { SystemThread.yield() }
        }
    }
}
