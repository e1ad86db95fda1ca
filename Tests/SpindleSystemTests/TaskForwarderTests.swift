// SPDX-License-Identifier: Apache-2.0

import SpindleCore
import SpindleSystem
import Testing

@Suite("Tasks of pinned threads", .timeLimit(.minutes(1)))
struct TaskForwarderTests {
    @Test("every task that an adopted thread starts runs, those included that it started just before it ended")
    func allRun() async throws {
        let count = 10_000
        let forwarder = try TaskForwarder()
        let sum = await withCheckedContinuation { (continuation: CheckedContinuation<Int, Never>) in
            let arrivals = Guarded((count: 0, sum: 0))
            do throws(Errno) {
                try SystemThread.start(name: "adopted") {
                    forwarder.adoptThread()
                    for number in 1...count {
                        Task.detached {
                            let sum: Int? = arrivals.withLock {
                                $0.count += 1
                                $0.sum += number
                                return $0.count == count ? $0.sum : nil
                            }
                            if let sum { continuation.resume(returning: sum) }
                        }
                    }
                    forwarder.close()
                }
            } catch { continuation.resume(returning: -1) }
        }
        #expect(sum == count * (count + 1) / 2)
    }

    @Test("a released thread's tasks run without the forwarder")
    func released() async throws {
        let forwarder = try TaskForwarder()
        forwarder.close()
        await withCheckedContinuation { continuation in
            do throws(Errno) {
                try SystemThread.start(name: "released") {
                    forwarder.adoptThread()
                    TaskForwarder.releaseThread()
                    Task.detached { continuation.resume() }
                }
            } catch { continuation.resume() }
        }
    }

    @Test("a closed forwarder's thread and descriptor go")
    func closing() async throws {
        weak var gone: TaskForwarder?
        do {
            let forwarder = try TaskForwarder()
            gone = forwarder
            forwarder.close()
        }
        while gone != nil {
            try Task.checkCancellation()
            await Task.yield()
        }
    }
}
