// SPDX-License-Identifier: Apache-2.0

import SpindleCore
import SpindleSimulation
import SpindleSystem
import Testing

@testable import SpindleReactor

extension Contract {
    @Suite("timers") struct Timers {
        @Test(
            "C31: timers run by due time, equal ones in the order of calls, never early",
            arguments: [1, 2, 3] as [UInt64]
        )
        func order(seed: UInt64) throws {
            try withBench(.simulated) { bench in
                var random = SeededRandom(seed: seed)
                var model: [(due: MonotonicInstant, number: Int)] = []
                var ran: [Int] = []
                for number in 0..<500 {
                    // Whole ticks, so that many are equal.
                    let delay = Duration.nanoseconds(65_536 * (1 + random.below(40)))
                    model.append((bench.network!.now.advanced(by: delay), number))
                    bench.reactor.callLater(delay) {
                        #expect(bench.network!.now >= model[number].due, "early")
                        ran.append(number)
                    }
                    if random.below(5) == 0 { bench.advance(by: .nanoseconds(65_536)) }
                }
                for _ in 0..<100 {
                    bench.advance(by: .nanoseconds(65_536))
                    bench.turnReactor()
                }
                bench.turnReactor()
                // Due times round up to ticks: those of one tick are equal.
                func tick(_ index: Int) -> UInt64 { Ticks.ceiling(model[index].due) }
                let expected = model.indices.sorted { (tick($0), $0) < (tick($1), $1) }
                #expect(ran.count == 500)
                // A timer that was due by the time of its turn runs in order of due tick within that turn.
                #expect(ran == expected, "seed \(seed)")
            }
        }

        @Test("C31: zero delays run in the order of calls", arguments: DriverKind.allCases)
        func zeroDelays(kind: DriverKind) throws {
            try withBench(kind) { bench in
                var ran: [Int] = []
                for number in 0..<5 { bench.reactor.callLater(.zero) { ran.append(number) } }
                bench.turn("all ran") { ran.count == 5 }
                #expect(ran == [0, 1, 2, 3, 4])
            }
        }

        @Test("C32: callLater(0) from a timer runs in the next turn, after input", arguments: DriverKind.allCases)
        func zeroFromTimer(kind: DriverKind) throws {
            try withBench(kind) { bench in
                var log: [String] = []
                let (client, _) = try bench.pair { if $1 == .data { log.append("data") } }
                bench.reactor.callLater(.zero) {
                    log.append("first")
                    client.send("x")
                    bench.reactor.callLater(.zero) { log.append("second") }
                }
                bench.turn("all ran") { log.count == 3 }
                if !kind.isEpoll { #expect(log == ["first", "data", "second"]) }
                #expect(log.first == "first")
            }
        }

        @Test("C32: a negative delay is a programming error")
        func negative() async {
            await #expect(processExitsWith: .failure) {
                try withBench(.simulated) { bench in bench.reactor.callLater(.seconds(-1)) {} }
            }
        }

        @Test("C33: cancel, reset and delay answer false once a timer was cancelled or has fired")
        func handles() throws {
            try withBench(.simulated) { bench in
                let reactor = bench.reactor
                var ran: [String] = []
                let cancelled = reactor.callLater(.seconds(1)) { ran.append("cancelled") }
                #expect(cancelled.isActive && cancelled.cancel())
                #expect(!cancelled.cancel() && !cancelled.reset(.seconds(1)) && !cancelled.delay(by: .seconds(1)))
                #expect(!cancelled.isActive && cancelled.due == nil)

                let sooner = reactor.callLater(.seconds(10)) { ran.append("sooner") }
                let later = reactor.callLater(.seconds(1)) { ran.append("later") }
                let delayed = reactor.callLater(.seconds(2)) { ran.append("delayed") }
                let advanced = reactor.callLater(.seconds(20)) { ran.append("advanced") }
                #expect(sooner.reset(.seconds(1)) && later.reset(.seconds(4)))
                #expect(delayed.delay(by: .seconds(1)) && advanced.delay(by: .seconds(-15)))
                let due = try #require(delayed.due)
                #expect(due >= bench.network!.now.advanced(by: .seconds(3)))
                #expect(due < bench.network!.now.advanced(by: .milliseconds(3001)))
                for _ in 0..<60 {
                    bench.advance(by: .milliseconds(100))
                    bench.turnReactor()
                }
                #expect(ran == ["sooner", "delayed", "later", "advanced"])
                #expect(!sooner.cancel() && !sooner.reset(.zero) && !sooner.isActive)

                let past = reactor.callLater(.seconds(5)) { ran.append("past") }
                #expect(past.delay(by: .seconds(-500)))
                bench.turn("it ran at once") { ran.last == "past" }
            }
        }

        @Test("C33: a timer that is cancelled by one of the same turn does not run")
        func cancelledByNeighbour() throws {
            try withBench(.simulated) { bench in
                var second: ReactorTimer?
                var ran = 0
                bench.reactor.callLater(.seconds(1)) {
                    ran += 1
                    #expect(second!.cancel())
                }
                second = bench.reactor.callLater(.seconds(1)) { ran += 1 }
                bench.advance(by: .seconds(2))
                bench.turn()
                #expect(ran == 1)
            }
        }

        @Test("C34: a distant timer survives years of jumps and runs at its time")
        func jumps() throws {
            try withBench(.simulated) { bench in
                var ran = false
                let year = Duration.seconds(365 * 86_400)
                bench.reactor.callLater(year * 30) { ran = true }
                for _ in 0..<29 {
                    bench.advance(by: year)
                    bench.turnReactor()
                    bench.turnReactor()
                }
                #expect(!ran)
                bench.advance(by: year + .seconds(1))
                bench.turn("it ran") { ran }
            }
        }

        @Test("C35: the reactor's clock is monotonic time")
        func clock() throws {
            try withBench(.epoll) { bench in
                let before = SystemClock.now()
                bench.turnReactor()
                #expect(bench.reactor.now >= before && bench.reactor.now <= SystemClock.now())
                #expect(bench.reactor.readClock() >= bench.reactor.now)
            }
        }

        @Test("C36: the idle timeout starts with setIdleTimeout, restarts with bytes either way, and nil takes it back")
        func idle() throws {
            try withBench(.simulated) { bench in
                let (client, proto) = try bench.pair { if $1 == .build { $0.overridesDefaults = true } }
                let transport = proto.transport
                #expect(transport.setIdleTimeout(.seconds(10)) == nil)
                #expect(transport.setIdleTimeout(.seconds(5)) == .seconds(5) * 2)
                for round in 1...4 {
                    bench.advance(by: .seconds(4))
                    if round % 2 == 0 { client.send("x") } else { transport.write("y") }
                    bench.turn(times: 2)
                    #expect(proto.count(.idle) == 0, "round \(round)")
                }
                bench.advance(by: .seconds(6))
                bench.turn()
                #expect(proto.count(.idle) == 1)
                bench.advance(by: .seconds(6))
                bench.turn()
                #expect(proto.count(.idle) == 2, "it comes again as long as nothing happens")
                #expect(transport.setIdleTimeout(nil) == .seconds(5))
                bench.advance(by: .seconds(60))
                bench.turn()
                #expect(proto.count(.idle) == 2)
            }
        }

        @Test("C36: by default the idle timeout closes, and a peer that does not read is cut off after its grace")
        func idleDefault() throws {
            try withBench(.simulated) { options in
                options.hasSmallBuffers = true
                options.configuration.idleTimeout = .seconds(10)
            } _: { bench in
                let (client, proto) = try bench.pair { proto, callback in
                    if callback == .made { proto.transport.write([UInt8](repeating: 1, count: 50_000)) }
                }
                client.readsInput = false
                bench.turn()
                bench.advance(by: .seconds(11))
                bench.turn()
                #expect(proto.count(.idle) == 1 && !proto.isLost)
                bench.advance(by: .seconds(31))
                bench.turn("the end came") { proto.isLost }
                #expect(proto.reasonText == "timed out (close)")
            }
        }

        @Test("C37: a repeating timer keeps to its grid; turns that passed are skipped and counted")
        func repeating() throws {
            try withBench(.simulated) { bench in
                let start = bench.network!.now
                var calls: [(after: Duration, skipped: Int)] = []
                let timer = bench.reactor.callRepeatedly(every: .seconds(1)) { skipped in
                    calls.append((start.duration(to: bench.network!.now), skipped))
                    // A call that takes 2.5 s: two turns pass meanwhile.
                    if calls.count == 2 { bench.advance(by: .milliseconds(2500)) }
                }
                for _ in 0..<60 {
                    bench.advance(by: .milliseconds(100))
                    bench.turnReactor()
                }
                timer.stop()
                #expect(calls.map(\.skipped).reduce(0, +) == 2)
                #expect(bench.counter(.skippedRepeats) == 2)
                for (index, call) in calls.enumerated() where index != 2 {
                    let milliseconds = Int(call.after / .milliseconds(1))
                    #expect(milliseconds % 1000 <= 200, "call \(index) at \(milliseconds) ms")
                }
                bench.advance(by: .seconds(10))
                bench.turn()
                let count = calls.count
                bench.turn()
                #expect(calls.count == count && !timer.isRunning)
            }
        }

        @Test("C37: the first call comes at once or after an interval; an error and stop end it; reset counts anew")
        func repeatingEnds() throws {
            try withBench(.simulated) { bench in
                var immediate = 0
                var failing = 0
                var stopping = 0
                var resetting = 0
                let first = bench.reactor.callRepeatedly(every: .seconds(1), immediately: true) { _ in immediate += 1 }
                let second = bench.reactor.callRepeatedly(every: .seconds(1)) { _ in
                    failing += 1
                    throw Planned(callback: .idle)
                }
                var third: RepeatingTimer?
                third = bench.reactor.callRepeatedly(every: .seconds(1)) { _ in
                    stopping += 1
                    third?.stop()
                }
                let fourth = bench.reactor.callRepeatedly(every: .seconds(1)) { _ in resetting += 1 }
                bench.turn(times: 3)
                #expect(immediate == 1 && failing == 0 && stopping == 0)
                for _ in 0..<31 {
                    bench.advance(by: .milliseconds(100))
                    fourth.reset()
                    bench.turnReactor()
                    bench.turnReactor()
                }
                #expect(failing == 1 && stopping == 1 && resetting == 0 && immediate == 4)
                #expect(!second.isRunning && !third!.isRunning)
                #expect(bench.log.count(containing: "a repeating timer threw planned in idle") == 1)
                first.stop()
                fourth.stop()
                third = nil
            }
        }
    }
}
