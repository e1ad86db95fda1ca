// SPDX-License-Identifier: Apache-2.0

/// Closures that run on their own reactor in a later turn, first in, first out.
///
/// What was taken is let go of at once, not when the queue runs empty: it may hold a connection or a socket.
struct JobQueue {
    typealias Job = () throws -> Void

    private var jobs: ContiguousArray<Job?> = []
    private var first = 0

    var count: Int { jobs.count - first }
    var isEmpty: Bool { first == jobs.count }

    mutating func append(_ job: @escaping Job) { jobs.append(job) }

    mutating func popFirst() -> Job? {
        guard first < jobs.count else { return nil }
        let job = jobs[first].take()
        first += 1
        if first == jobs.count {
            jobs.removeAll(keepingCapacity: jobs.count <= 4096)
            first = 0
        } else if first >= 4096, first * 2 > jobs.count {
            jobs.removeFirst(first)
            first = 0
        }
        return job
    }
}

/// The closures of a reactor, apart by origin, so that neither kind keeps the other waiting.
struct JobQueues {
    /// Those that the reactor's own callbacks left.
    var own = JobQueue()
    /// Those of other threads.
    var foreign = JobQueue()

    var isEmpty: Bool { own.isEmpty && foreign.isEmpty }
}
