// SPDX-License-Identifier: Apache-2.0

import SpindleCore
import SpindleSystem
import Synchronization
import Testing

@testable import SpindleReactor

/// Reactors on threads of their own, on the epoll driver, for the time of a test.
final class ReactorCrew: Sendable {
    let mailroom: Mailroom
    private let configuration: ReactorConfiguration

    init(count: Int, configuration: ReactorConfiguration = ReactorConfiguration()) {
        self.configuration = configuration
        mailroom = Mailroom(reactorCount: count, configuration: configuration)
    }

    var handles: [ReactorHandle] { mailroom.handles }

    /// Runs every reactor until it is stopped; `prepare` is called on each before its first turn.
    func run(_ prepare: @escaping @Sendable (Reactor) -> Void = { _ in }) async {
        await onThreads(handles.count) { [self] index in
            do throws(Errno) {
                let driver = try EpollDrivers().makeDriver(reactor: index, configuration: configuration)
                let reactor = Reactor(index: index, configuration: configuration, driver: driver, mailroom: mailroom)
                reactor.perform { prepare(reactor) }
                reactor.run()
                reactor.tearDown()
            } catch {
                Issue.record("reactor \(index) has no driver: \(error)")
            }
            handles[index].markStopped()
        }
    }

    func stop() {
        for handle in handles { handle.submit { Reactor.current?.stop() } }
    }

    /// Waits until reactor `index` has said that it sleeps. Blocks: for threads of the test's own.
    func waitUntilAsleep(_ index: Int) {
        while !handles[index].doorbell.loadSleeping() { SystemThread.yield() }
    }
}

/// Runs `body` on so many new threads, and returns when all have ended: no thread of Swift's pool is blocked.
func onThreads(_ count: Int, _ body: @escaping @Sendable (Int) -> Void) async {
    let running = Atomic<Int>(count)
    await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
        let end: @Sendable () -> Void = {
            if running.subtract(1, ordering: .acquiringAndReleasing).newValue == 0 { continuation.resume() }
        }
        for index in 0..<count {
            do throws(Errno) {
                try SystemThread.start(name: "test-\(index)") {
                    body(index)
                    end()
                }
            } catch {
                Issue.record("no thread to be had: \(error)")
                end()
            }
        }
    }
}

/// Reactors of one mailroom on the test's own thread, turned by hand.
struct HandTurned {
    let mailroom: Mailroom
    let reactors: [Reactor]
    let log = KeptLog()

    init(count: Int = 2, configuration: ReactorConfiguration = ReactorConfiguration()) throws {
        let mailroom = Mailroom(reactorCount: count, configuration: configuration)
        self.mailroom = mailroom
        let log = log
        reactors = try (0..<count).map {
            let driver = try EpollDrivers().makeDriver(reactor: $0, configuration: configuration)
            return Reactor(index: $0, configuration: configuration, driver: driver, mailroom: mailroom, log: log)
        }
    }

    /// One turn that does not sleep.
    func turn(_ index: Int) { on(index) { $0.turn(maximumWait: 0) } }

    @discardableResult
    func on<Result>(_ index: Int, _ body: (Reactor) throws -> Result) rethrows -> Result {
        try reactors[index].perform { try body(reactors[index]) }
    }

    /// As at the end of an engine: every reactor is stopped, then what nobody will handle is reported.
    func finish() {
        for reactor in reactors {
            reactor.tearDown()
            reactor.handle.markStopped()
        }
        mailroom.discardUndelivered()
    }

    func count(_ counter: Counter, _ index: Int) -> UInt64 { mailroom.handles[index].counters[counter] }
}

/// Keeps what was logged.
final class KeptLog: LogSink {
    private let records = Guarded<[LogRecord]>([])
    func write(_ record: LogRecord) { records.withLock { $0.append(record) } }
    var messages: [String] { records.withLock { $0.map(\.message) } }
}

/// Keeps values from any thread, in order.
final class Kept<Value: Sendable>: Sendable {
    private let kept = Guarded<[Value]>([])
    func add(_ value: Value) { kept.withLock { $0.append(value) } }
    var values: [Value] { kept.withLock { $0 } }
}

/// How many of its `Tracked` objects live.
final class LiveCount: Sendable {
    fileprivate let count = Atomic<Int>(0)
    var value: Int { count.load(ordering: .acquiring) }
}

/// An object whose end is noticed.
final class Tracked: Sendable {
    private let live: LiveCount
    init(_ live: LiveCount) {
        self.live = live
        live.count.add(1, ordering: .relaxed)
    }
    deinit { live.count.subtract(1, ordering: .acquiringAndReleasing) }
}

/// A message of 16 bytes: it lies in the mailbox itself.
struct InlineMessage: Sendable {
    let number: Int
    let tracked: Tracked
}

/// A message of 72 bytes: it travels in a box.
struct BoxedMessage: Sendable {
    let number: Int
    let tracked: Tracked
    let ballast: (Int, Int, Int, Int, Int, Int, Int)

    init(number: Int, tracked: Tracked) {
        self.number = number
        self.tracked = tracked
        ballast = (number, 1, 2, 3, 4, 5, ~number)
    }

    var isWhole: Bool { ballast.0 == number && ballast.6 == ~number }
}
