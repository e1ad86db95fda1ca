// SPDX-License-Identifier: Apache-2.0

import Spindle

/// Values of 32 bytes between two reactors: the twin of Floor/spsc_ring.c, on the engine's channels.
enum Mailbox {
    struct Value: Sendable {
        let number: UInt64
        let words: (UInt64, UInt64, UInt64)

        init(_ number: UInt64) {
            self.number = number
            words = (number, number, ~number)
        }

        /// Every value carries its number and is checked on arrival.
        func check(_ expected: UInt64) {
            precondition(number == expected && words.2 == ~expected, "value \(number) where \(expected) was due")
        }
    }

    /// As fast as the receiver takes them; the bell rings after 16.
    static func oneWay(_ arguments: Arguments) async throws -> Figures {
        let count = UInt64(arguments.number("messages", default: 10_000_000))
        let pair = try TwoReactors(idleSpin: .seconds(60))
        let expected = HandedAround<UInt64>(0)
        let start = HandedAround<UInt64>(0)
        let channel = pair.engine.makeChannel { (value: Value, _) in
            value.check(expected.value)
            expected.value += 1
            guard expected.value == count, let reactor = Reactor.current else { return }
            pair.finish(["ns": Double(reactor.readClock().nanoseconds - start.value) / Double(count)])
        }
        return try await pair.measure { reactor in
            start.value = reactor.readClock().nanoseconds
            for number in 0..<count {
                let value = Value(number)
                while channel.send(value, to: 1) != .sent {}
            }
        }
    }

    /// One value goes there and back, and again.
    static func spinningRoundTrip(_ arguments: Arguments) async throws -> Figures {
        let trips = UInt64(arguments.number("trips", default: 200_000))
        let pair = try TwoReactors(idleSpin: .seconds(60))
        let start = HandedAround<UInt64>(0)
        // Set below: each channel's handler sends into the other.
        let there = HandedAround(pair.engine.makeChannel { (_: Value, _) in })
        // A handler for each side, so that the two share nothing but the mailboxes.
        let back = pair.engine.makeChannel { (value: Value, _) in
            guard value.number + 1 < trips else {
                let elapsed = (Reactor.current?.readClock().nanoseconds ?? 0) - start.value
                return pair.finish(["ns": Double(elapsed) / Double(trips)])
            }
            there.value.send(Value(value.number + 1), to: 1)
        }
        there.value = pair.engine.makeChannel { (value: Value, _) in back.send(value, to: 0) }
        return try await pair.measure { reactor in
            start.value = reactor.readClock().nanoseconds
            there.value.send(Value(0), to: 1)
        }
    }

    /// The target has been asleep for a while; the sender polls for the answer.
    static func wakingRoundTrip(_ arguments: Arguments) async throws -> Figures {
        try await roundTripsFromIdle(arguments, senderPolls: true)
    }

    /// Both are asleep when the message, and when the answer, comes.
    static func sleepingRoundTrip(_ arguments: Arguments) async throws -> Figures {
        try await roundTripsFromIdle(arguments, senderPolls: false)
    }

    /// How long the target is left asleep before it is woken, so that its core has gone idle.
    private static let idleBeforeWake: UInt64 = 100_000

    private static func roundTripsFromIdle(_ arguments: Arguments, senderPolls: Bool) async throws -> Figures {
        let trips = arguments.number("trips", default: 2000)
        let pair = try TwoReactors(idleSpin: .zero)
        let state = HandedAround(Trips(count: trips))
        let channel = pair.engine.makeChannel { (_: Value, _) in
            guard let reactor = Reactor.current else { return }
            state.value.returned(at: reactor.readClock().nanoseconds)
            if state.value.isDone { pair.finish(state.value.figures) }
        }
        let answer = pair.engine.makeChannel { (value: Value, _) in _ = channel.send(value, to: 0) }
        /// Looks whether the next trip may begin; polling, it comes again in the next turn.
        @Sendable func poll() {
            guard let reactor = Reactor.current, !state.value.isDone else { return }
            let now = reactor.readClock().nanoseconds
            if state.value.mayStart(at: now, after: idleBeforeWake) {
                state.value.sent = now
                answer.send(Value(0), to: 1)
            }
            if senderPolls { reactor.callSoon(poll) } else { reactor.callLater(.milliseconds(1), poll) }
        }
        return try await pair.measure { _ in poll() }
    }

    /// The times of round trips.
    private struct Trips {
        let count: Int
        var sent: UInt64?
        private var last: UInt64 = 0
        private var times: [UInt64] = []

        init(count: Int) { self.count = count }

        var isDone: Bool { times.count == count }

        func mayStart(at now: UInt64, after idle: UInt64) -> Bool { sent == nil && now - last > idle }

        mutating func returned(at now: UInt64) {
            times.append(now - (sent ?? now))
            sent = nil
            last = now
        }

        var figures: Figures {
            let sorted = times.sorted()
            return ["ns": Figures.quantile(0.5, of: sorted), "p99": Figures.quantile(0.99, of: sorted)]
        }
    }
}
