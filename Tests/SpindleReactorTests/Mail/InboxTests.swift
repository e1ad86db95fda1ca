// SPDX-License-Identifier: Apache-2.0

import SpindleSystem
import Synchronization
import Testing

@testable import SpindleReactor

@Suite("Jobs for a reactor from other threads, and from itself")
struct InboxTests {
    @Test("C27: a job submitted on the reactor runs in the next turn, not inline, behind those that wait")
    func ownReactor() throws {
        let crew = try HandTurned(count: 1)
        let handle = crew.mailroom.handles[0]
        let seen = Kept<String>()
        crew.on(0) { reactor in
            #expect(handle.submit { seen.add("a") } == .sent)
            #expect(
                handle.submit {
                    handle.submit { seen.add("inner") }
                    seen.add("b")
                } == .sent
            )
            #expect(seen.values.isEmpty)
            reactor.turn(maximumWait: 0)
            #expect(seen.values == ["a", "b"])
            reactor.turn(maximumWait: 0)
            #expect(seen.values == ["a", "b", "inner"])
        }
    }

    @Test("C28: only calls that were queued before the batch run in it, whoever queues them")
    func batch() throws {
        let crew = try HandTurned(count: 1)
        let handle = crew.mailroom.handles[0]
        let inbox = handle.inbox
        let seen = Kept<Int>()
        for number in 0..<3 {
            handle.submit {
                seen.add(number)
                handle.submit { seen.add(number + 10) }
                // As another thread would: not on the reactor's own way.
                _ = inbox.submit(.closure { seen.add(number + 20) })
                handle.ring(handle.inboxBit)
            }
        }
        crew.turn(0)
        #expect(seen.values == [0, 1, 2])
        crew.turn(0)
        #expect(seen.values == [0, 1, 2, 10, 11, 12, 20, 21, 22])
    }

    @Test("C28: jobs that keep queueing each other do not keep the turn from ending")
    func noStarvation() throws {
        let crew = try HandTurned(count: 1)
        let handle = crew.mailroom.handles[0]
        let turns = Kept<Int>()
        @Sendable func again(_ number: Int) {
            if number < 5 {
                handle.submit {
                    turns.add(number); again(number + 1)
                }
            }
        }
        crew.on(0) { _ in again(0) }
        for turn in 1...5 {
            crew.turn(0)
            #expect(turns.values.count == turn)
        }
    }

    @Test("jobs that keep queueing each other do not keep other threads' jobs waiting, nor the other way round")
    func fairness() throws {
        var configuration = ReactorConfiguration()
        configuration.jobBudget = 4
        let crew = try HandTurned(count: 1, configuration: configuration)
        let ran = Kept<String>()
        crew.on(0) { reactor in
            func again() { reactor.callSoon(again) }
            for _ in 0..<100 { reactor.callSoon(again) }
        }
        // Outside of the reactor's turns this thread is none.
        for number in 0..<3 { crew.mailroom.handles[0].submit { ran.add("\(number)") } }
        crew.turn(0)
        #expect(ran.values == ["0", "1", "2"])
        for _ in 0..<100 { crew.mailroom.handles[0].submit {} }
        crew.on(0) { reactor in for _ in 0..<200 { reactor.callSoon { ran.add("local") } } }
        for _ in 0..<120 { crew.turn(0) }
        #expect(ran.values.contains("local"))
        crew.finish()
    }

    @Test("C29: 100,000 calls queued for a reactor that does not look are neither refused nor lost")
    func manyCalls() throws {
        let crew = try HandTurned(count: 1)
        let handle = crew.mailroom.handles[0]
        let (count, last) = (Kept<Int>(), 99_999)
        let ran = Count()
        for number in 0...last {
            let result = handle.submit {
                if ran.value != number { count.add(number) }
                ran.increment()
            }
            guard result == .sent else { return #expect(result == .sent) }
        }
        while ran.value <= last { crew.turn(0) }
        #expect(count.values.isEmpty, "out of order")
        #expect(crew.count(.inboxJobs, 0) == 100_000)
    }

    @Test("C29: the bounded variant answers that it is full, and has room again once the jobs were taken")
    func bounded() throws {
        var configuration = ReactorConfiguration()
        configuration.inboxCapacity = 3
        let crew = try HandTurned(count: 1, configuration: configuration)
        let handle = crew.mailroom.handles[0]
        let seen = Kept<Int>()
        for round in 0..<3 {
            let answers = (0..<5).map { number in handle.submit { seen.add(round * 10 + number) } }
            #expect(answers == [.sent, .sent, .sent, .full, .full])
            crew.turn(0)
        }
        #expect(seen.values == [0, 1, 2, 10, 11, 12, 20, 21, 22])
    }

    @Test("a closed inbox answers that it has stopped, however often it is asked")
    func closedAnswers() {
        let inbox = Inbox<InboxJob>(capacity: 2)
        #expect(inbox.submit(.closure {}) == .sent)
        #expect(inbox.submit(.closure {}) == .sent)
        #expect(inbox.submit(.closure {}) == .full)
        #expect(inbox.close() == 2)
        for _ in 0..<5 { #expect(inbox.submit(.closure {}) == .stopped) }
        #expect(inbox.takeAll { _ in } == 0)
        #expect(inbox.close() == 0)
        #expect(inbox.submit(.closure {}) == .stopped)
    }

    @Test("jobs that are dropped with the inbox give up what they hold")
    func droppedJobs() {
        let live = LiveCount()
        do {
            let inbox = Inbox<InboxJob>(capacity: 10)
            for _ in 0..<5 {
                let tracked = Tracked(live)
                #expect(inbox.submit(.closure { withExtendedLifetime(tracked) {} }) == .sent)
            }
            #expect(live.value == 5)
        }
        #expect(live.value == 0)
    }

    @Test("pushed from four threads and closed meanwhile, each job runs, is reported, or was refused")
    func closedWhilePushed() async {
        for capacity in [7, 1 << 20] {
            let inbox = Inbox<InboxJob>(capacity: capacity)
            let (accepted, ran, dropped) = (Count(), Count(), Count())
            let live = LiveCount()
            await onThreads(5) { thread in
                if thread < 4 {
                    while true {
                        let tracked = Tracked(live)
                        let answer = inbox.submit(.closure { withExtendedLifetime(tracked) { ran.increment() } })
                        if answer == .sent { accepted.increment() }
                        if answer == .stopped { return }
                        if answer == .full { SystemThread.yield() }
                    }
                } else {
                    while ran.value < 2_000 { inbox.takeAll { if case .closure(let job) = $0.work { try? job() } } }
                    dropped.add(inbox.close())
                }
            }
            #expect(accepted.value == ran.value + dropped.value)
            #expect(live.value == 0)
            #expect(inbox.submit(.closure {}) == .stopped)
        }
    }

    @Test("C27: calls of each thread run in its order, on the reactor's thread, asleep or not")
    func orderPerCaller() async {
        let crew = ReactorCrew(count: 1)
        let perThread = 20_000
        let last = (0..<3).map { _ in Count() }
        let wrong = Count()
        let threadID = Guarded<Int32>(0)
        async let running: Void = crew.run { _ in threadID.withLock { $0 = SystemThread.currentID } }
        await onThreads(3) { thread in
            let handle = crew.handles[0]
            if thread == 0 { crew.waitUntilAsleep(0) }
            for number in 0..<perThread {
                let answer = handle.submit {
                    if last[thread].value != number { wrong.increment() }
                    if threadID.withLock({ $0 }) != SystemThread.currentID { wrong.increment() }
                    last[thread].increment()
                }
                if answer != .sent { wrong.increment() }
            }
        }
        crew.stop()
        await running
        crew.mailroom.discardUndelivered()
        #expect(wrong.value == 0)
        #expect(last.map(\.value) == [perThread, perThread, perThread])
        #expect(crew.handles[0].counters[.sleeps] > 0)
    }
}

/// Counts from any thread.
final class Count: Sendable {
    private let count = Atomic<Int>(0)
    var value: Int { count.load(ordering: .acquiring) }
    func increment() { add(1) }
    func add(_ amount: Int) { count.add(amount, ordering: .acquiringAndReleasing) }
}

extension Inbox<InboxJob> {
    fileprivate func submit(_ work: InboxJob.Work) -> SubmitResult { SubmitResult(push(InboxJob(work))) }
}
