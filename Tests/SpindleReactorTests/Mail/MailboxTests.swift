// SPDX-License-Identifier: Apache-2.0

import SpindleCore
import Testing

@testable import SpindleReactor

@Suite("Mailboxes, turned by hand")
struct MailboxTests {
    private struct Failure: Error {}

    private static func configuration(
        capacity: Int = 1024,
        _ change: (inout ReactorConfiguration) -> Void = { _ in }
    ) -> ReactorConfiguration {
        var configuration = ReactorConfiguration()
        configuration.mailboxCapacity = capacity
        change(&configuration)
        return configuration
    }

    @Test("messages of a pair arrive once and in order, over all channels")
    func orderOverChannels() throws {
        let crew = try HandTurned()
        let seen = Kept<String>()
        let numbers = Channel<Int>(crew.mailroom) { number, sender in seen.add("\(sender): \(number)") }
        let words = Channel<String>(crew.mailroom) { word, sender in seen.add("\(sender): \(word)") }
        crew.on(0) { _ in
            #expect(numbers.send(1, to: 1) == .sent)
            #expect(words.send("two", to: 1) == .sent)
            #expect(numbers.send(3, to: 1) == .sent)
        }
        crew.turn(0)
        crew.turn(1)
        crew.turn(1)
        #expect(seen.values == ["0: 1", "0: two", "0: 3"])
        #expect(crew.count(.mailSent, 0) == 3)
        #expect(crew.count(.mailReceived, 1) == 3)
    }

    @Test("a reactor that spins takes a message of whoever sent last before the bell rings, and takes it once")
    func beforeTheBell() throws {
        let crew = try HandTurned()
        let seen = Kept<Int>()
        let channel = Channel<Int>(crew.mailroom) { number, _ in seen.add(number) }
        crew.on(0) { _ in channel.send(1, to: 1) }
        crew.turn(1)
        #expect(seen.values == [1])
        crew.reactors[0].perform {
            channel.send(2, to: 1)
            crew.mailroom.existingRing(from: 0, to: 1)?.publish()
            #expect(!crew.reactors[1].doorbell.isRung)
            crew.on(1) { $0.answerMail() }
            #expect(seen.values == [1, 2])
        }
        crew.on(1) { $0.answerMail() }
        crew.turn(1)
        #expect(seen.values == [1, 2])
        #expect(crew.count(.mailReceived, 1) == 2)
    }

    @Test("a reactor that spins shows its answers at once, and looks again for what came while it answered")
    func answersAtOnce() throws {
        let crew = try HandTurned(count: 3)
        let seen = Kept<Int>()
        let mailroom = crew.mailroom
        let answers = Channel<Int>(mailroom) { number, _ in
            // The answer to the question was shown before this, which came after it, was looked at.
            if number == 7 { #expect(mailroom.handles[0].doorbell.isRung) }
            seen.add(number)
        }
        let questions = Channel<Int>(mailroom) { number, sender in
            answers.send(-number, to: sender)
            // The bell of reactor 2 rings while this is being answered.
            _ = mailroom.handles[1].doorbell.ring(2)
        }
        crew.on(2) { _ in
            answers.send(7, to: 1)
            mailroom.existingRing(from: 2, to: 1)?.publish()
        }
        crew.on(0) { _ in questions.send(7, to: 1) }
        crew.on(1) {
            $0.answerMail()
            #expect(crew.reactors[0].doorbell.isRung)
            #expect(!$0.doorbell.isRung)
        }
        #expect(seen.values == [7])
        crew.turn(0)
        #expect(seen.values == [7, -7])
    }

    @Test("a reactor that spins takes one budget of a sender's messages, and leaves the bell rung for the rest")
    func budgetWhileSpinning() throws {
        let crew = try HandTurned(configuration: Self.configuration { $0.mailBudget = 3 })
        let seen = Kept<Int>()
        let channel = Channel<Int>(crew.mailroom) { number, _ in seen.add(number) }
        crew.on(0) { _ in channel.send(0, to: 1) }
        crew.turn(1)
        crew.on(0) { _ in for number in 1...10 { channel.send(number, to: 1) } }
        crew.on(1) { $0.answerMail() }
        #expect(seen.values == Array(0...3))
        #expect(crew.reactors[1].doorbell.isRung)
        for _ in 0..<3 { crew.turn(1) }
        #expect(seen.values == Array(0...10))
    }

    @Test("an answer finds room in a mailbox that was full with what is being answered")
    func roomForTheAnswersAnswer() throws {
        let crew = try HandTurned(configuration: Self.configuration(capacity: 1))
        let seen = Kept<SubmitResult>()
        let channel = Channel<Int>(crew.mailroom) { _, _ in }
        let question = Channel<Int>(crew.mailroom) { number, sender in channel.send(-number, to: sender) }
        crew.on(0) { _ in
            #expect(question.send(1, to: 1) == .sent)
            #expect(question.send(2, to: 1) == .full)
        }
        crew.on(1) { $0.answerMail() }
        crew.on(0) { _ in seen.add(question.send(3, to: 1)) }
        #expect(seen.values == [.sent])
    }

    @Test("a handler that throws while a spinning reactor answers is logged, and the next message is handled")
    func throwsWhileAnswering() throws {
        let crew = try HandTurned()
        let seen = Kept<Int>()
        let channel = Channel<Int>(crew.mailroom) { number, _ in
            if number == 1 { throw Failure() }
            seen.add(number)
        }
        crew.on(0) { _ in for number in 1...2 { channel.send(number, to: 1) } }
        crew.on(1) { $0.answerMail() }
        #expect(seen.values == [2])
        #expect(crew.log.messages.count == 1)
        #expect(crew.count(.mailReceived, 1) == 2)
    }

    @Test("a channel does not keep its reactors alive, and answers that they have stopped")
    func channelOutlives() throws {
        weak var gone: Mailroom?
        var channel: Channel<String>?
        do {
            let crew = try HandTurned()
            gone = crew.mailroom
            channel = Channel<String>(crew.mailroom) { _, _ in }
            #expect(channel?.send("from a thread that is no reactor", to: 1) == .sent)
            crew.finish()
        }
        #expect(gone == nil)
        #expect(channel?.send("to nobody", to: 1) == .stopped)
        #expect(channel?.broadcast("to nobody") == [])
    }

    @Test("a full mailbox is an answer, and neither loses nor reorders", arguments: [1, 2, 8, 32])
    func full(capacity: Int) throws {
        let crew = try HandTurned(configuration: Self.configuration(capacity: capacity))
        let seen = Kept<Int>()
        let channel = Channel<Int>(crew.mailroom) { number, _ in seen.add(number) }
        var next = 0
        var refusals = 0
        while next < 100 {
            crew.on(0) { _ in
                while next < 100, channel.send(next, to: 1) == .sent { next += 1 }
                if next < 100 { refusals += 1 }
            }
            crew.turn(0)
            crew.turn(1)
        }
        #expect(seen.values == Array(0..<100))
        #expect(crew.count(.mailFull, 0) == UInt64(refusals))
        #expect(refusals == (100 - 1) / capacity)
    }

    @Test("a batch that is not shown yet is shown when the mailbox is full, or nobody could make room")
    func fullShowsTheBatch() throws {
        let crew = try HandTurned(configuration: Self.configuration(capacity: 2))
        let seen = Kept<Int>()
        let channel = Channel<Int>(crew.mailroom) { number, _ in seen.add(number) }
        crew.on(0) { _ in
            for number in 0..<2 { #expect(channel.send(number, to: 1) == .sent) }
            #expect(channel.send(2, to: 1) == .full)
            // The receiver is another thread in life: it takes what it sees in the middle of the sender's turn.
            crew.turn(1)
            #expect(channel.send(2, to: 1) == .sent)
        }
        crew.turn(0)
        crew.turn(1)
        #expect(seen.values == [0, 1, 2])
    }

    @Test("the sixteenth message rings the bell at once, the fifteenth waits for the end of the turn")
    func batches() throws {
        let crew = try HandTurned()
        let channel = Channel<Int>(crew.mailroom) { _, _ in }
        crew.on(0) { _ in
            for number in 0..<Outbox.batchSize - 1 { channel.send(number, to: 1) }
            #expect(!crew.reactors[1].handle.doorbell.isRung)
            channel.send(15, to: 1)
            #expect(crew.reactors[1].handle.doorbell.isRung)
        }
        #expect(crew.count(.mailSent, 0) == 16)
    }

    @Test("the mail budget ends a look, and the rest comes in the next turn without another ring")
    func budget() throws {
        let crew = try HandTurned(configuration: Self.configuration { $0.mailBudget = 3 })
        let seen = Kept<Int>()
        let channel = Channel<Int>(crew.mailroom) { number, _ in seen.add(number) }
        crew.on(0) { _ in for number in 0..<7 { channel.send(number, to: 1) } }
        crew.turn(0)
        for expected in [3, 6, 7, 7] {
            crew.turn(1)
            #expect(seen.values == Array(0..<expected))
        }
        #expect(crew.count(.mailBudgetExhausted, 1) == 2)
        #expect(crew.count(.wakeupsSent, 1) == 0)
    }

    @Test("a handler that throws is logged, and the next message is handled")
    func throwingHandler() throws {
        let crew = try HandTurned()
        let seen = Kept<Int>()
        let channel = Channel<Int>(crew.mailroom) { number, _ in
            seen.add(number)
            if number == 1 { throw Failure() }
        }
        crew.on(0) { _ in for number in 0..<3 { channel.send(number, to: 1) } }
        crew.turn(0)
        crew.turn(1)
        #expect(seen.values == [0, 1, 2])
        #expect(crew.log.messages.count == 1)
    }

    @Test("values of every size and alignment arrive whole, in the mailbox or in a box")
    func payloads() throws {
        struct Bytes<let count: Int>: Sendable, Equatable {
            var bytes: InlineArray<count, UInt8>
            init() { bytes = InlineArray { UInt8(truncatingIfNeeded: $0 &* 7 &+ count) } }
            static func == (one: Self, other: Self) -> Bool {
                one.bytes.indices.allSatisfy { one.bytes[$0] == other.bytes[$0] }
            }
        }
        let crew = try HandTurned()
        let seen = Kept<Int>()
        func send<Message: Sendable & Equatable>(_ message: Message) {
            let channel = Channel<Message>(crew.mailroom) { got, _ in
                seen.add(got == message ? MemoryLayout<Message>.size : -1)
            }
            #expect(crew.on(0) { _ in channel.send(message, to: 1) } == .sent)
        }
        send(Bytes<0>())
        send(Bytes<1>())
        send(Bytes<47>())
        send(Bytes<48>())
        send(Bytes<49>())
        send(Bytes<500>())
        send(SIMD4<Float>(1, 2, 3, 4))
        send(SIMD8<Double>(1, 2, 3, 4, 5, 6, 7, 8))
        send(SIMD4<Double>(1, 2, 3, 4))
        send("a text that has storage of its own")
        crew.turn(0)
        crew.turn(1)
        #expect(seen.values == [0, 1, 47, 48, 49, 500, 16, 64, 32, 16])
    }

    @Test("a reactor that woke on its own is not woken by mail")
    func noNeedlessWakeUp() throws {
        let crew = try HandTurned()
        let channel = Channel<Int>(crew.mailroom) { _, _ in }
        crew.on(1) { $0.turn(maximumWait: 1) }
        #expect(crew.count(.sleeps, 1) == 1)
        crew.on(0) { _ in channel.send(1, to: 1) }
        #expect(crew.reactors[1].handle.doorbell.isRung)
        #expect(crew.count(.wakeupsSent, 0) == 0)
    }

    @Test("a broadcast reaches every reactor once, in the order of the sender's other messages")
    func broadcast() throws {
        let crew = try HandTurned(count: 3)
        let seen = (0..<3).map { _ in Kept<String>() }
        let channel = Channel<String>(crew.mailroom) { text, sender in
            if let reactor = Reactor.current { seen[reactor.index].add("\(sender): \(text)") }
        }
        crew.on(1) { _ in
            for receiver in 0..<3 { channel.send("before", to: receiver) }
            #expect(channel.broadcast("all") == [.sent, .sent, .sent])
            for receiver in 0..<3 { channel.send("after", to: receiver) }
        }
        crew.turn(1)
        #expect(seen[1].values == ["1: before", "1: all", "1: after"])
        crew.turn(0)
        crew.turn(2)
        for receiver in [0, 2] { #expect(seen[receiver].values == ["1: before", "1: all", "1: after"]) }
    }

    @Test("a broadcast says which mailbox was full, and reaches the others")
    func broadcastToFull() throws {
        let crew = try HandTurned(count: 3, configuration: Self.configuration(capacity: 2))
        let channel = Channel<Int>(crew.mailroom) { _, _ in }
        crew.on(1) { _ in
            for number in 0..<2 { channel.send(number, to: 0) }
            #expect(channel.broadcast(2) == [.full, .sent, .sent])
        }
    }

    @Test("the bell of every sender is told apart, also beyond 64 reactors")
    func manyReactors() {
        let mailroom = Mailroom(reactorCount: 130, configuration: ReactorConfiguration())
        let handle = mailroom.handles[5]
        #expect(handle.doorbell.wordCount == 3)
        for bit in [0, 63, 64, 129, handle.inboxBit] {
            #expect(!handle.ring(bit))
            #expect(handle.doorbell.isRung)
            #expect(handle.doorbell.take(word: bit / 64) == 1 << UInt64(bit % 64))
            #expect(!handle.doorbell.isRung)
        }
        #expect(handle.doorbell.prepareToSleep())
        #expect(handle.ring(129))
        #expect(!handle.ring(128))
        #expect(!handle.doorbell.prepareToSleep())
    }
}
