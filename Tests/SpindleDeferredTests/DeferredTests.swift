// SPDX-License-Identifier: Apache-2.0

import SpindleDeferred
import SpindleTesting
import Testing

private struct Oops: Error, Equatable { var number = 0 }

/// Keeps what was logged.
// Sendable: log sinks have to be; the test has one thread.
private final class Lines: LogSink, @unchecked Sendable {
    var messages: [String] = []
    func write(_ record: LogRecord) { messages.append(record.message) }
}

@Suite("C57: Deferred") struct DeferredTests {
    @Test("callbacks get what the one before returned, errbacks what it threw, in the order of the chain")
    func chain() throws {
        let start = Deferred<Int>()
        var seen: [String] = []
        start
            .addCallback { $0 + 1 }
            .addErrback { _ in
                seen.append("not this one")
                return 0
            }
            .addCallback { (number) throws -> String in
                seen.append("got \(number)")
                throw Oops(number: number)
            }
            .addCallback { text in
                seen.append("nor this one")
                return text
            }
            .addErrback { "mended \($0)" }
            .whenCalled { seen.append("\($0)") }
        #expect(seen.isEmpty && !start.isCalled)
        try start.succeed(1)
        #expect(seen == ["got 2", "success(\"mended Oops(number: 2)\")"])
    }

    @Test("a callback that comes after the result runs at once")
    func late() {
        var seen = 0
        Deferred.succeeded(3).addCallback { $0 * 2 }.whenCalled { seen = (try? $0.get()) ?? -1 }
        #expect(seen == 6)
        Deferred<Int>.failed(Oops()).addErrback { _ in 7 }.whenCalled { seen = (try? $0.get()) ?? -1 }
        #expect(seen == 7)
    }

    @Test("a callback that returns a Deferred makes the chain wait for it, its failure included")
    func chained() throws {
        let (outer, inner) = (Deferred<Int>(), Deferred<String>())
        var seen = ""
        outer.addCallback { _ in inner }.addErrback { "failed: \($0)" }.whenCalled { seen = (try? $0.get()) ?? "-" }
        try outer.succeed(1)
        #expect(seen == "")
        try inner.fail(Oops(number: 4))
        #expect(seen == "failed: Oops(number: 4)")
    }

    @Test("called twice it throws, whichever way")
    func twice() throws {
        let deferred = Deferred<Int>()
        deferred.whenCalled { _ in }
        try deferred.succeed(1)
        #expect(throws: AlreadyCalled.self) { try deferred.succeed(2) }
        #expect(throws: AlreadyCalled.self) { try deferred.fail(Oops()) }
        #expect(throws: AlreadyCalled.self) { try Deferred.succeeded(1).succeed(1) }
    }

    @Test(
        "cancel tells the start of the chain; the failure goes down it; the result that still comes is nobody's mistake"
    )
    func cancel() throws {
        var told = 0
        let start = Deferred<Int> { _ in told += 1 }
        var seen = ""
        let last = start.addCallback { $0 + 1 }.addBoth { seen = "\($0)" }
        last.whenCalled { _ in }
        last.cancel()
        #expect(told == 1)
        #expect(seen.contains("CancellationError"))
        try start.succeed(1)
        #expect(throws: AlreadyCalled.self) { try start.succeed(1) }
        last.cancel()
        #expect(told == 1)
        // A canceller may have its own result.
        let own = Deferred<Int> { try? $0.fail(Oops(number: 9)) }
        own.cancel()
        var result: Result<Int, any Error>?
        own.whenCalled { result = $0 }
        #expect(throws: Oops(number: 9)) { try result?.get() }
    }

    @Test("cancel in the middle of a chain cancels what it waits for now")
    func cancelInner() throws {
        var told = 0
        let (start, inner) = (Deferred<Int>(), Deferred<Int> { _ in told += 1 })
        var failed = false
        let last = start.addCallback { _ in inner }
        last.whenCalled { if case .failure = $0 { failed = true } }
        try start.succeed(1)
        last.cancel()
        #expect(told == 1 && failed)
    }

    @Test("a failure that nobody looked at is logged when it goes, once, with the place; one that was handled is not")
    func unhandled() throws {
        let lines = Lines()
        do {
            let lost = Deferred<Int>(log: lines)
            lost.addCallback { $0 + 1 }
            try lost.fail(Oops(number: 5))
            let handled = Deferred<Int>(log: lines)
            handled.addErrback { _ in 0 }
            try handled.fail(Oops(number: 6))
            _ = Deferred<Int>(log: lines)
            try Deferred<Int>(log: lines).succeed(1)
        }
        #expect(lines.messages.count == 1)
        #expect(lines.messages.first?.contains("Oops(number: 5)") == true)
        #expect(lines.messages.first?.contains("DeferredTests.swift") == true)
    }

    @Test("a chain of 100,000 takes no more of the stack than one of two, also when each callback was there before")
    func long() throws {
        let start = Deferred<Int>()
        var last = start
        for _ in 0..<100_000 { last = last.addCallback { $0 + 1 } }
        var sum = 0
        last.whenCalled { sum = (try? $0.get()) ?? -1 }
        try start.succeed(0)
        #expect(sum == 100_000)
    }

    @Test("gatherResults: the values in their order; the first failure cancels the rest")
    func gather() throws {
        let parts = (0..<3).map { _ in Deferred<Int>() }
        var values: [Int] = []
        gatherResults(parts).whenCalled { values = (try? $0.get()) ?? [-1] }
        for index in [2, 0, 1] { try parts[index].succeed(index * 10) }
        #expect(values == [0, 10, 20])
        var cancelled = 0
        let others = (0..<3).map { _ in Deferred<Int> { _ in cancelled += 1 } }
        var failure = ""
        gatherResults(others).whenCalled { failure = "\($0)" }
        try others[1].fail(Oops(number: 1))
        #expect(failure.contains("Oops(number: 1)"))
        #expect(cancelled == 2)
        var none: [Int]?
        gatherResults([Deferred<Int>]()).whenCalled { none = try? $0.get() }
        #expect(none == [])
        let more = (0..<2).map { _ in Deferred<Int> { _ in cancelled += 1 } }
        let all = gatherResults(more)
        all.whenCalled { _ in }
        all.cancel()
        #expect(cancelled == 4)
    }

    @Test("race: the first that succeeds wins and the others are cancelled; when all fail, so does the race")
    func racing() throws {
        var cancelled = 0
        let runners = (0..<3).map { _ in Deferred<String> { _ in cancelled += 1 } }
        var winner = ""
        race(runners).whenCalled { if let first = try? $0.get() { winner = "\(first.index) \(first.value)" } }
        try runners[0].fail(Oops())
        try runners[2].succeed("won")
        #expect(winner == "2 won")
        #expect(cancelled == 1)
        let losers = (0..<2).map { _ in Deferred<Int>() }
        var failure: (any Error)?
        race(losers).whenCalled { if case .failure(let error) = $0 { failure = error } }
        for loser in losers { try loser.fail(Oops(number: 2)) }
        #expect((failure as? RaceFailed)?.errors.count == 2)
    }
}

@Suite("Deferreds on a reactor") struct DeferredReactorTests {
    private final class Silent: StreamProtocol {
        let transport: any StreamTransport
        init(_ transport: any StreamTransport) { self.transport = transport }
        func dataReceived(_ bytes: Span<UInt8>) {}
    }

    /// A reactor whose time the test moves.
    private func bench() -> ScriptedConnection { ScriptedConnection { Silent($0) } }

    @Test("addTimeout: in time the result passes; late it is TimedOut, and the work was cancelled")
    func timeout() throws {
        let bench = bench()
        var cancelled = 0
        var seen: [String] = []
        let (late, early) = (Deferred<Int> { _ in cancelled += 1 }, Deferred<Int>())
        bench.perform { reactor in
            late.addTimeout(.seconds(2), on: reactor).whenCalled { seen.append("\($0)") }
            early.addTimeout(.seconds(2), on: reactor).whenCalled { seen.append("\($0)") }
        }
        bench.advance(by: .seconds(1))
        try bench.perform { _ in try early.succeed(1) }
        #expect(seen == ["success(1)"] && cancelled == 0)
        bench.advance(by: .seconds(2))
        #expect(cancelled == 1)
        #expect(seen.last?.contains("timed out after 2.0 seconds") == true, "\(seen)")
    }

    @Test("value() waits in a task, gives the value or throws the failure, and cancels when the task is cancelled")
    func awaited() throws {
        let bench = bench()
        var seen: [String] = []
        var cancelled = 0
        let (first, second, third) = (Deferred<Int>(), Deferred<Int>(), Deferred<Int> { _ in cancelled += 1 })
        bench.perform { reactor in
            let home = reactor.handle
            for deferred in [first, second, third] {
                Deferred.run(on: reactor) {
                    let value = try await deferred.value()
                    #expect(Reactor.current?.handle === home)
                    return value
                }
                .addTimeout(.seconds(1), on: reactor)
                .whenCalled { seen.append("\($0)") }
            }
        }
        bench.perform { _ in try? first.succeed(1) }
        bench.perform { _ in try? second.fail(Oops(number: 2)) }
        #expect(seen.count == 2 && seen[0] == "success(1)" && seen[1].contains("Oops(number: 2)"), "\(seen)")
        bench.advance(by: .seconds(2))
        #expect(cancelled == 1)
        #expect(seen.last?.contains("timed out") == true, "\(seen)")
    }

    @Test("C37: a repeating call waits for its result; what it misses is skipped and counted; a failure ends it")
    func repeating() throws {
        let bench = bench()
        var (waiting, skips, ended) = ([Deferred<Void>](), [Int](), "")
        bench.perform { reactor in
            let (timer, end) = reactor.callRepeatedly(every: .seconds(1), immediately: true) { skipped in
                skips.append(skipped)
                waiting.append(Deferred<Void>())
                return waiting[waiting.count - 1]
            }
            #expect(timer.isRunning)
            end.whenCalled { ended = "\($0)" }
        }
        #expect(skips == [0])
        bench.advance(by: .seconds(3) + .milliseconds(500))
        #expect(skips == [0])
        bench.perform { _ in try? waiting[0].succeed(()) }
        bench.advance(by: .milliseconds(600))
        #expect(skips == [0, 3])
        bench.perform { _ in try? waiting[1].fail(Oops(number: 3)) }
        #expect(ended.contains("Oops(number: 3)"))
        bench.advance(by: .seconds(5))
        #expect(skips.count == 2)
    }

    @Test("C37: the same with async code, which never overlaps itself; stop ends it")
    func repeatingTask() throws {
        let bench = bench()
        var (begun, running, most) = (0, 0, 0)
        var timer: RepeatingTimer?
        bench.perform { reactor in
            let clock = ReactorClock(reactor.handle)
            timer = reactor.callRepeatedly(
                every: .seconds(1),
                waitingFor: { _ in
                    begun += 1
                    running += 1
                    most = max(most, running)
                    // tidy: allow banned: simulated time, which the test moves
                    try await clock.sleep(until: clock.now.advanced(by: .milliseconds(1500)))
                    running -= 1
                }
            )
        }
        bench.advance(by: .seconds(10))
        #expect(most == 1)
        #expect(begun == 5, "every other second")
        bench.perform { _ in timer?.stop() }
        bench.advance(by: .seconds(10))
        #expect(begun == 5 && running == 0)
    }

    @Test("a chain that goes on in another, and so on, takes no more of the stack than one of two")
    func deep() throws {
        let bench = bench()
        var result: Int?
        bench.perform { reactor in
            func loop(_ count: Int) -> Deferred<Int> {
                let step = Deferred<Int>()
                reactor.callSoon { try? step.succeed(count) }
                return step.addCallback { (count) throws -> Deferred<Int> in
                    count == 0 ? .succeeded(7) : loop(count - 1)
                }
            }
            loop(30_000).whenCalled { result = try? $0.get() }
        }
        #expect(result == 7)
    }

    @Test("a timeout comes, and cancelling works, also when nobody has what the chain waits for any more")
    func dropped() throws {
        let bench = bench()
        var seen: [String] = []
        bench.perform { reactor in
            Deferred<Int>().addTimeout(.seconds(1), on: reactor).whenCalled { seen.append("\($0)") }
            let chain = Deferred<Int>().addCallback { $0 + 1 }
            chain.whenCalled { seen.append("\($0)") }
            chain.cancel()
        }
        #expect(seen.count == 1 && seen[0].contains("CancellationError"), "\(seen)")
        bench.advance(by: .seconds(2))
        #expect(seen.count == 2 && seen[1].contains("timed out"), "\(seen)")
    }
}
