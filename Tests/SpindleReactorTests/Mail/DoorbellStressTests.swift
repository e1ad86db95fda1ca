// SPDX-License-Identifier: Apache-2.0

import SpindleSystem
import Synchronization
import Testing

@testable import SpindleReactor

extension StressTests {
    /// The ring-or-sleep protocol on the machine's own store buffers: a second message against one attempt to sleep,
    /// again and again. The broken variants run too, but what they lose depends on how the two threads meet, so it
    /// is printed and not asserted: that they are broken is what `DoorbellModelTests` proves.
    @Suite("The ring-or-sleep protocol on real processors")
    struct DoorbellStressTests {
        private static let rounds = 50_000

        @Test("a ring and an attempt to sleep never miss each other")
        func correctProtocol() async {
            let memory = LineMemory(byteCount: 4096)
            let doorbell = Doorbell(bitCount: 1, in: memory)
            defer { withExtendedLifetime(memory) {} }
            let lost = await Self.duel(
                on: doorbell,
                ring: { doorbell.ring(0) },
                goToSleep: { doorbell.prepareToSleep() }
            )
            #expect(lost == 0)
        }

        @Test(
            "the variants without fences are run and what they lose is printed",
            arguments: FencelessDoorbell.Mistake.allCases
        )
        func brokenProtocol(mistake: FencelessDoorbell.Mistake) async {
            let doorbell = FencelessDoorbell(mistake)
            let lost = await Self.duel(
                on: doorbell,
                ring: { mistake == .ringUnlessRung ? doorbell.ringUnlessRung(0) : doorbell.ring(0) },
                goToSleep: {
                    mistake == .sleepWithoutLooking
                        ? doorbell.prepareToSleepWithoutLooking() : doorbell.prepareToSleep()
                }
            )
            print("\(mistake): \(lost) of \(Self.rounds) wake-ups lost")
        }

        /// In each round one message has been rung for. The sender publishes the next and rings; the receiver takes the
        /// bits, looks at what is published, and wants to sleep.
        ///
        /// - Returns: How often the receiver slept without having seen the second message and without being woken.
        private static func duel<Bell: DoorbellMemory & Sendable>(
            on doorbell: Bell,
            ring: @escaping @Sendable () -> Bool,
            goToSleep: @escaping @Sendable () -> Bool
        ) async -> Int where Bell.Interruption == Never {
            let meeting = SpinMeeting()
            let lost = Count()
            let woken = Atomic<Bool>(false)
            let published = Atomic<Int>(0)
            await onThreads(2) { thread in
                var random = UInt64(thread + 1)
                for _ in 0..<rounds {
                    meeting.meet()
                    // A few nanoseconds either way: who comes first changes from round to round.
                    random = random &* 6_364_136_223_846_793_005 &+ 1
                    for _ in 0..<(random >> 62) { Processor.relax() }
                    var (seen, sleeps) = (1, false)
                    if thread == 0 {
                        published.store(2, ordering: .releasing)
                        woken.store(ring(), ordering: .relaxed)
                    } else {
                        _ = doorbell.take(word: 0)
                        seen = published.load(ordering: .acquiring)
                        sleeps = goToSleep()
                    }
                    meeting.meet()
                    guard thread == 1 else { continue }
                    if sleeps, seen == 1, !woken.load(ordering: .relaxed) { lost.increment() }
                    doorbell.storeSleeping(false)
                    published.store(1, ordering: .releasing)
                    doorbell.or(1, intoWord: 0)
                }
            }
            return lost.value
        }
    }
}

/// Two threads that wait for each other without sleeping.
private final class SpinMeeting: Sendable {
    private let arrivals = Atomic<Int>(0)

    func meet() {
        let mine = arrivals.add(1, ordering: .sequentiallyConsistent).newValue
        let both = (mine + 1) / 2 * 2
        var spins = 0
        while arrivals.load(ordering: .sequentiallyConsistent) < both {
            spins += 1
            if spins % 64 == 0 { SystemThread.yield() } else { Processor.relax() }
        }
    }
}

/// A doorbell in real memory with a mistake.
final class FencelessDoorbell: DoorbellMemory, Sendable {
    enum Mistake: CaseIterable, Sendable { case plainOr, plainSleeping, noFences, ringUnlessRung, sleepWithoutLooking }
    typealias Interruption = Never

    private let mistake: Mistake
    private let word = Atomic<UInt64>(0)
    private let sleeping = Atomic<Bool>(false)

    init(_ mistake: Mistake) { self.mistake = mistake }

    var wordCount: Int { 1 }

    func or(_ bits: UInt64, intoWord _: Int) {
        if mistake == .plainOr || mistake == .noFences {
            word.store(word.load(ordering: .relaxed) | bits, ordering: .releasing)
        } else {
            word.bitwiseOr(bits, ordering: .sequentiallyConsistent)
        }
    }

    func load(word _: Int) -> UInt64 { word.load(ordering: .relaxed) }
    func take(word _: Int) -> UInt64 { word.exchange(0, ordering: .acquiringAndReleasing) }
    func loadSleeping() -> Bool { sleeping.load(ordering: .relaxed) }

    func exchangeSleeping(_ value: Bool) -> Bool {
        guard value, mistake == .plainSleeping || mistake == .noFences else {
            return sleeping.exchange(value, ordering: .sequentiallyConsistent)
        }
        sleeping.store(value, ordering: .releasing)
        return false
    }

    func storeSleeping(_ value: Bool) { sleeping.store(value, ordering: .releasing) }
}
