// SPDX-License-Identifier: Apache-2.0

/// What runs on its own reactor in a later turn, first in, first out.
///
/// What was taken is let go of at once, not when the queue runs empty: it may hold a connection or a socket.
struct JobQueue<Job> {
    private var jobs: ContiguousArray<Job?> = []
    private var first = 0

    var count: Int { jobs.count - first }
    var isEmpty: Bool { first == jobs.count }

    mutating func append(_ job: consuming Job) { jobs.append(job) }

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

/// What a reactor has to run, apart by origin, so that no kind keeps another waiting.
struct JobQueues {
    typealias Closure = () throws -> Void

    /// Closures that the reactor's own callbacks left.
    var own = JobQueue<Closure>()
    /// Closures of other threads.
    var foreign = JobQueue<Closure>()
    /// Swift tasks that can go on here.
    var tasks = JobQueue<UnownedJob>()

    var isEmpty: Bool { own.isEmpty && foreign.isEmpty && tasks.isEmpty }
}
