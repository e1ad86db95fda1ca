// SPDX-License-Identifier: Apache-2.0

import SpindleCore
import Testing

@testable import SpindleReactor

@Suite("The urgent lane, turned by hand")
struct UrgentTests {
    @Test("urgent messages overtake all that waits, of every sender, and keep their own order")
    func overtaking() throws {
        let crew = try HandTurned(count: 3)
        let seen = Kept<String>()
        let ordinary = Channel<Int>(crew.mailroom) { number, sender in seen.add("\(sender): \(number)") }
        let urgent = Channel<Int>(crew.mailroom, lane: .urgent) { number, sender in seen.add("\(sender)! \(number)") }
        for sender in [0, 2] {
            crew.on(sender) { _ in
                for number in 0..<3 { #expect(ordinary.send(number, to: 1) == .sent) }
                for number in 3..<5 { #expect(urgent.send(number, to: 1) == .sent) }
            }
        }
        crew.turn(1)
        #expect(
            seen.values == [
                "0! 3", "0! 4", "2! 3", "2! 4", "0: 0", "0: 1", "0: 2", "2: 0", "2: 1", "2: 2",
            ]
        )
        #expect(crew.count(.mailReceived, 1) == 10)
    }

    @Test("an urgent message is seen before its sender's turn ends; an ordinary one is not")
    func atOnce() throws {
        let crew = try HandTurned()
        let seen = Kept<String>()
        let ordinary = Channel<String>(crew.mailroom) { word, _ in seen.add(word) }
        let urgent = Channel<String>(crew.mailroom, lane: .urgent) { word, _ in seen.add(word) }
        crew.reactors[0].perform {
            ordinary.send("later", to: 1)
            urgent.send("now", to: 1)
            crew.on(1) { $0.drainMail() }
            #expect(seen.values == ["now"])
        }
        crew.turn(1)
        #expect(seen.values == ["now", "later"])
    }

    @Test("a full lane is an answer, and goes on when there is room; the ordinary lane is not concerned")
    func full() throws {
        var configuration = ReactorConfiguration()
        configuration.urgentCapacity = 4
        let crew = try HandTurned(configuration: configuration)
        let seen = Kept<Int>()
        let urgent = Channel<Int>(crew.mailroom, lane: .urgent) { number, _ in seen.add(number) }
        let ordinary = Channel<Int>(crew.mailroom) { number, _ in seen.add(number) }
        crew.on(0) { _ in
            for number in 0..<4 { #expect(urgent.send(number, to: 1) == .sent) }
            #expect(urgent.send(4, to: 1) == .full)
            #expect(ordinary.send(10, to: 1) == .sent)
        }
        crew.turn(1)
        crew.on(0) { _ in #expect(urgent.send(5, to: 1) == .sent) }
        crew.turn(1)
        #expect(seen.values == [0, 1, 2, 3, 10, 5])
        #expect(crew.count(.mailFull, 0) == 1)
    }

    @Test("urgent messages that nobody handled are reported undelivered, once each")
    func undelivered() throws {
        let lost = Kept<Int>()
        do {
            let crew = try HandTurned()
            let urgent = Channel<Int>(crew.mailroom, lane: .urgent) { number, receiver in
                lost.add(number * 10 + receiver)
            } handler: { _, _ in
                Issue.record("it was handled")
            }
            crew.on(0) { _ in for number in 1...3 { urgent.send(number, to: 1) } }
            crew.mailroom.discardUndelivered()
            #expect(lost.values == [11, 21, 31])
        }
        #expect(lost.values.count == 3)
    }

    @Test("with more reactors than a word of the bell has bits, urgent mail still goes first")
    func manyReactors() throws {
        for count in [62, 63, 64, 70] {
            let crew = try HandTurned(count: count)
            let seen = Kept<String>()
            let ordinary = Channel<Int>(crew.mailroom) { _, sender in seen.add("\(sender)") }
            let urgent = Channel<Int>(crew.mailroom, lane: .urgent) { _, sender in seen.add("\(sender)!") }
            for sender in [1, count - 1] {
                crew.on(sender) { _ in
                    ordinary.send(0, to: 0)
                    urgent.send(0, to: 0)
                }
            }
            crew.turn(0)
            #expect(Set(seen.values.prefix(2)) == ["1!", "\(count - 1)!"], "\(count) reactors: \(seen.values)")
            #expect(seen.values.count == 4)
        }
    }
}
