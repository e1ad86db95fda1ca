// SPDX-License-Identifier: Apache-2.0

import SpindleCore
import Testing

@testable import SpindleReactor

@Suite("Messages that nobody handles")
struct UndeliveredTests {
    @Test("N4: what a stopped reactor did not handle is reported once, in order, and no more is taken")
    func reportedOnce() throws {
        let crew = try HandTurned()
        let (seen, reported) = (Kept<Int>(), Kept<Int>())
        let channel = Channel<Int>(
            crew.mailroom,
            undelivered: { number, receiver in reported.add(receiver == 1 ? number : -1) },
            handler: { number, _ in seen.add(number) }
        )
        crew.on(0) { _ in for number in 0..<5 { channel.send(number, to: 1) } }
        crew.turn(0)
        crew.turn(1)
        crew.on(0) { _ in for number in 5..<10 { channel.send(number, to: 1) } }
        crew.finish()
        crew.mailroom.discardUndelivered()
        #expect(seen.values == Array(0..<5))
        #expect(reported.values == Array(5..<10))
        #expect(crew.count(.mailUndelivered, 1) == 5)
    }

    @Test("a full mailbox of a stopped reactor answers that it has stopped")
    func stoppedAnswer() throws {
        var configuration = ReactorConfiguration()
        configuration.mailboxCapacity = 2
        let crew = try HandTurned(configuration: configuration)
        let channel = Channel<Int>(crew.mailroom) { _, _ in }
        crew.on(0) { _ in
            for number in 0..<2 { channel.send(number, to: 1) }
            #expect(channel.send(2, to: 1) == .full)
            crew.mailroom.handles[1].markStopped()
            #expect(channel.send(2, to: 1) == .stopped)
        }
    }

    @Test("messages with references neither leak nor end twice: handled, refused, reported or simply left behind")
    func references() throws {
        let live = LiveCount()
        try {
            var configuration = ReactorConfiguration()
            configuration.mailboxCapacity = 8
            let crew = try HandTurned(configuration: configuration)
            let inline = Channel<InlineMessage>(crew.mailroom) { _, _ in }
            let boxed = Channel<BoxedMessage>(crew.mailroom) { message, _ in #expect(message.isWhole) }
            for round in 0..<3 {
                crew.on(0) { _ in
                    for number in 0..<5 {
                        inline.send(InlineMessage(number: number, tracked: Tracked(live)), to: 1)
                        boxed.send(BoxedMessage(number: number, tracked: Tracked(live)), to: 1)
                    }
                }
                #expect(live.value == 8, "two of ten were refused")
                crew.turn(0)
                if round < 2 { crew.turn(1) } else { crew.finish() }
                #expect(live.value == 0)
            }
        }()
        #expect(live.value == 0)
    }

    @Test("a mailroom that goes away without having been finished gives up what is in it")
    func abandonedMailroom() throws {
        let live = LiveCount()
        let reported = Kept<Int>()
        try {
            let crew = try HandTurned()
            let channel = Channel<InlineMessage>(
                crew.mailroom,
                undelivered: { message, _ in reported.add(message.number) }
            ) {
                _,
                _ in
            }
            crew.on(0) { _ in channel.send(InlineMessage(number: 7, tracked: Tracked(live)), to: 1) }
        }()
        #expect(live.value == 0)
        #expect(reported.values == [7])
    }

    @Test("a message to the own reactor or from a thread that is none is reported as any other")
    func reportedAsJobs() throws {
        let crew = try HandTurned()
        let (seen, reported) = (Kept<Int>(), Kept<Int>())
        let channel = Channel<Int>(
            crew.mailroom,
            undelivered: { number, _ in reported.add(number) },
            handler: { number, _ in seen.add(number) }
        )
        #expect(channel.send(1, to: 1) == .sent)
        crew.on(1) { _ in #expect(channel.send(2, to: 1) == .sent) }
        crew.turn(1)
        #expect(Set(seen.values) == [1, 2])
        crew.on(1) { _ in #expect(channel.send(3, to: 1) == .sent) }
        #expect(channel.send(4, to: 1) == .sent)
        crew.finish()
        #expect(channel.send(5, to: 1) == .stopped)
        #expect(seen.values.count == 2)
        #expect(reported.values == [3, 4])
    }

    @Test("what was not taken is not reported")
    func refusedIsNotReported() throws {
        var configuration = ReactorConfiguration()
        configuration.inboxCapacity = 1
        let crew = try HandTurned(configuration: configuration)
        let reported = Kept<Int>()
        let channel = Channel<Int>(crew.mailroom, undelivered: { number, _ in reported.add(number) }) { _, _ in }
        #expect(channel.send(1, to: 1) == .sent)
        #expect(channel.send(2, to: 1) == .full)
        crew.turn(1)
        #expect(reported.values.isEmpty)
    }

    @Test("jobs that a stopping reactor has taken but not run are counted")
    func leftJobs() throws {
        var configuration = ReactorConfiguration()
        configuration.jobBudget = 2
        let crew = try HandTurned(configuration: configuration)
        let seen = Kept<Int>()
        for number in 0..<5 {
            crew.mailroom.handles[1].submit {
                seen.add(number)
                Reactor.current?.stop()
            }
        }
        crew.reactors[1].run()
        crew.finish()
        #expect(seen.values == [0, 1])
        #expect(crew.count(.mailUndelivered, 1) == 3)
    }

    @Test("what a reactor sends in its last turn is shown to those that live on")
    func lastWords() throws {
        let crew = try HandTurned()
        let seen = Kept<String>()
        let channel = Channel<String>(crew.mailroom) { text, _ in seen.add(text) }
        crew.on(0) { reactor in
            // `drain` completes at the end of the flush, behind the mail of that turn.
            reactor.drain {
                channel.send("drained", to: 1)
                reactor.stop()
            }
        }
        crew.reactors[0].run()
        crew.turn(1)
        #expect(seen.values == ["drained"])
    }

    @Test("what is sent outside of a turn is shown at the end of the call")
    func outsideOfTurns() throws {
        let crew = try HandTurned()
        let seen = Kept<Int>()
        let channel = Channel<Int>(crew.mailroom) { number, _ in seen.add(number) }
        crew.on(0) { _ in channel.send(1, to: 1) }
        crew.turn(1)
        #expect(seen.values == [1])
    }

    @Test("a report may send and submit, also to the reactor that is ending")
    func reportsMaySend() throws {
        let crew = try HandTurned()
        let answers = Kept<SubmitResult>()
        let other = Channel<Int>(crew.mailroom) { _, _ in }
        let handle = crew.mailroom.handles[1]
        let channel = Channel<Int>(
            crew.mailroom,
            undelivered: { number, _ in
                answers.add(other.send(number, to: 0))
                answers.add(handle.submit {})
            },
            handler: { _, _ in }
        )
        crew.on(0) { _ in channel.send(1, to: 1) }
        crew.on(1) { _ in channel.send(2, to: 1) }
        crew.finish()
        // The second message is reported while reactor 1 still ends, the first when all have.
        #expect(answers.values.count == 4)
        // By then its inbox takes nothing any more: a job that cannot run is refused, not dropped later.
        #expect(answers.values.suffix(2) == [.stopped, .stopped])
        #expect(crew.mailroom.handles[1].submit {} == .stopped)
    }

    @Test("what is sent as the drain completes is not slept upon")
    func drainCompletion() throws {
        let crew = try HandTurned()
        let seen = Kept<Int>()
        let channel = Channel<Int>(crew.mailroom) { number, _ in seen.add(number) }
        crew.on(0) { reactor in
            reactor.drain { channel.send(1, to: 1) }
            reactor.turn(maximumWait: 0)
            crew.turn(1)
            #expect(seen.values == [1])
        }
    }
}
