// SPDX-License-Identifier: Apache-2.0

/// Closures that run on their own reactor in a later turn, first in, first out.
struct JobQueue {
    typealias Job = () throws -> Void

    private var jobs: ContiguousArray<Job> = []
    private var first = 0

    var count: Int { jobs.count - first }
    var isEmpty: Bool { count == 0 }

    mutating func append(_ job: @escaping Job) { jobs.append(job) }

    mutating func popFirst() -> Job? {
        guard first < jobs.count else { return nil }
        let job = jobs[first]
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
