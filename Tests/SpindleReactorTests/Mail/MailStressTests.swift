// SPDX-License-Identifier: Apache-2.0

import SpindleSystem
import Testing

@testable import SpindleReactor

/// What spins on several threads runs one after the other: two cores are enough for one at a time.
@Suite("Under stress", .serialized, .timeLimit(.minutes(5)))
enum StressTests {}

extension StressTests {
    @Suite("Mailboxes between threads")
    struct MailStressTests {
        private static func configuration(capacity: Int) -> ReactorConfiguration {
            var configuration = ReactorConfiguration()
            configuration.mailboxCapacity = capacity
            return configuration
        }

        @Test("a ring keeps order and content through many turns, full and empty", arguments: [1, 2, 64, 1024])
        func ring(capacity: Int) async {
            let count: UInt64 = capacity < 64 ? 20_000 : 200_000
            let mailbox = Mailbox(capacity: capacity, node: nil)
            let ring = mailbox.ring
            defer { withExtendedLifetime(mailbox) {} }
            let (full, wrong) = (Count(), Count())
            await onThreads(2) { thread in
                if thread == 0 {
                    RingEnds.produce(count, into: ring, batch: min(capacity, 16), full: full)
                } else {
                    wrong.add(RingEnds.consume(count, from: ring))
                }
            }
            #expect(wrong.value == 0)
            // More messages than slots, and the last slot is only free when the first was read.
            if capacity <= 2 { #expect(full.value > 0) }
        }

        @Test("two reactors exchange numbers both ways in order, sleeping in between", arguments: [2, 1024])
        func exchange(capacity: Int) async {
            // With two slots nearly every value is refused first, and tried again a little later.
            let goal = capacity == 2 ? 10_000 : 200_000
            let crew = ReactorCrew(count: 2, configuration: Self.configuration(capacity: capacity))
            let finished = Count()
            let sides = (0..<2).map { ExchangeSide(seed: UInt64($0 + 1), goal: goal, peer: 1 - $0, finished) }
            let channel = Channel<Int>(crew.mailroom) { number, sender in sides[1 - sender].receive(number) }
            async let running: Void = crew.run()
            await onThreads(1) { _ in
                for index in 0..<2 {
                    crew.waitUntilAsleep(index)
                    crew.handles[index].submit { sides[index].start(channel) }
                }
                while finished.value < 2 { SystemThread.yield() }
                crew.stop()
            }
            await running
            crew.mailroom.discardUndelivered()
            for (index, side) in sides.enumerated() {
                let counters = crew.handles[index].counters
                #expect(side.isComplete)
                #expect(counters[.mailReceived] == UInt64(goal))
                #expect(counters[.mailSent] == UInt64(goal))
                #expect(counters[.sleeps] > 0)
                #expect(counters[.mailUndelivered] == 0)
                print(
                    "capacity \(capacity), reactor \(index): \(counters[.sleeps]) sleeps, \(counters[.mailFull]) full"
                )
            }
        }

        @Test(
            "a reactor that stops in the middle has handled or reported what was sent, inline or in boxes",
            arguments: [2, 64]
        )
        func stopInTheMiddle(capacity: Int) async {
            let live = LiveCount()
            let (handled, reported) = (Kept<Int>(), Kept<Int>())
            let accepted = Count()
            do {
                let crew = ReactorCrew(count: 2, configuration: Self.configuration(capacity: capacity))
                let handle: @Sendable (Int) -> Void = { number in
                    handled.add(number)
                    if number == 3000 { Reactor.current?.stop() }
                }
                let inline = Channel<InlineMessage>(
                    crew.mailroom,
                    undelivered: { message, _ in reported.add(message.number) }
                ) {
                    message,
                    _ in handle(message.number)
                }
                let boxed = Channel<BoxedMessage>(
                    crew.mailroom,
                    undelivered: { message, _ in reported.add(message.number) }
                ) {
                    message,
                    _ in handle(message.isWhole ? message.number : -1)
                }
                await crew.run { reactor in
                    guard reactor.index == 0 else { return }
                    let sender = PatientSender { number in
                        let tracked = Tracked(live)
                        return number % 2 == 0
                            ? inline.send(InlineMessage(number: number, tracked: tracked), to: 1)
                            : boxed.send(BoxedMessage(number: number, tracked: tracked), to: 1)
                    }
                    reactor.callSoon {
                        sender.run { sent in
                            accepted.add(sent)
                            Reactor.current?.stop()
                        }
                    }
                }
                crew.mailroom.discardUndelivered()
                #expect(crew.handles[1].counters[.mailUndelivered] == UInt64(reported.values.count))
            }
            #expect(handled.values + reported.values == Array(0..<accepted.value))
            #expect(handled.values.count > 3000)
            #expect(live.value == 0)
        }

        @Test("a reactor that mail alone has woken handles it in the turn in which it slept")
        func wokenByMail() async {
            let crew = ReactorCrew(count: 2)
            let turns = Kept<UInt64>()
            let channel = Channel<UInt64>(crew.mailroom) { before, _ in
                turns.add(before)
                turns.add(crew.handles[1].counters[.turns])
                crew.stop()
            }
            await crew.run { reactor in
                guard reactor.index == 0 else { return }
                @Sendable func sendWhenAsleep() {
                    guard crew.handles[1].doorbell.loadSleeping() else {
                        Reactor.current?.callSoon(sendWhenAsleep)
                        return
                    }
                    channel.send(crew.handles[1].counters[.turns], to: 1)
                }
                reactor.callSoon(sendWhenAsleep)
            }
            #expect(turns.values.count == 2 && turns.values[0] == turns.values[1], "\(turns.values)")
        }

        @Test("N4: among four reactors every pair keeps its order, and nobody waits for anybody", arguments: [2, 64])
        func everyPair(capacity: Int) async {
            let (count, perPair) = (4, 5_000)
            let crew = ReactorCrew(count: count, configuration: Self.configuration(capacity: capacity))
            // A row per receiver, which is the only one to touch it.
            let expected = (0..<count).map { _ in (0..<count).map { _ in Count() } }
            let (wrong, finished) = (Count(), Count())
            let channel = Channel<Int>(crew.mailroom) { number, sender in
                guard let receiver = Reactor.current?.index else { return wrong.increment() }
                if expected[receiver][sender].value != number { wrong.increment() }
                expected[receiver][sender].increment()
                if number == perPair - 1 { finished.increment() }
            }
            async let running: Void = crew.run { reactor in
                for receiver in 0..<count {
                    let sender = PatientSender(count: perPair) { channel.send($0, to: receiver) }
                    reactor.callSoon { sender.run() }
                }
            }
            await onThreads(1) { _ in
                while finished.value < count * count { SystemThread.yield() }
                crew.stop()
            }
            await running
            crew.mailroom.discardUndelivered()
            #expect(wrong.value == 0)
            #expect(expected.allSatisfy { $0.allSatisfy { $0.value == perPair } })
        }

        @Test("a sleeping reactor is woken by every message of a sender that waits for the answer")
        func pingPong() async {
            let rounds = 5_000
            let crew = ReactorCrew(count: 2)
            let answers = Count()
            let back = Channel<Int>(crew.mailroom) { _, _ in answers.increment() }
            let there = Channel<Int>(crew.mailroom) { number, sender in back.send(number, to: sender) }
            async let running: Void = crew.run()
            await onThreads(1) { _ in
                // Each message finds its receiver asleep, or about to: the next is sent when the last was answered.
                for number in 1...rounds {
                    crew.handles[0].submit { there.send(number, to: 1) }
                    while answers.value < number { SystemThread.yield() }
                }
                crew.stop()
            }
            await running
            crew.mailroom.discardUndelivered()
            #expect(answers.value == rounds)
            #expect(crew.handles[1].counters[.sleeps] > 0)
            print("\(crew.handles[1].counters[.sleeps]) sleeps and \(crew.handles[0].counters[.wakeupsSent]) wake-ups")
        }
    }
}
