// SPDX-License-Identifier: Apache-2.0

/// What runs on its own reactor in a later turn, first in, first out.
///
/// What was taken is let go of at once, not when the queue runs empty: it may hold a connection or a socket.
struct JobQueue<Job> {
    /// A ring; its length is a power of two, or 0.
    private var jobs: ContiguousArray<Job?> = []
    private var head = 0
    private(set) var count = 0

    var isEmpty: Bool { count == 0 }

    mutating func append(_ job: consuming Job) {
        if count == jobs.count { resize(to: max(16, jobs.count * 2)) }
        jobs[(head + count) & (jobs.count - 1)] = job
        count += 1
    }

    /// The one that `popFirst` would give.
    var first: Job? { count > 0 ? jobs[head] : nil }

    mutating func popFirst() -> Job? {
        guard count > 0 else { return nil }
        let job = jobs[head].take()
        head = (head + 1) & (jobs.count - 1)
        count -= 1
        // A flood's room is given back.
        if count == 0, jobs.count > 4096 { resize(to: 4096) }
        return job
    }

    private mutating func resize(to capacity: Int) {
        var resized = ContiguousArray<Job?>()
        resized.reserveCapacity(capacity)
        for offset in 0..<count { resized.append(jobs[(head + offset) & (jobs.count - 1)].take()) }
        while resized.count < capacity { resized.append(nil) }
        (jobs, head) = (resized, 0)
    }
}

/// The closures of a reactor, apart by origin, so that neither kind keeps the other waiting.
struct JobQueues {
    typealias Closure = () throws -> Void

    /// Those that the reactor's own callbacks left.
    var own = JobQueue<Closure>()
    /// Those of other threads.
    var foreign = JobQueue<Closure>()

    var isEmpty: Bool { own.isEmpty && foreign.isEmpty }
}
