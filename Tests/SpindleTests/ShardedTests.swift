// SPDX-License-Identifier: Apache-2.0

import Spindle
import SpindleSystem
import Testing

/// State with an instance per core.
extension EngineTests {
    /// Knows where it was made, and tells where it goes.
    private final class Counter {
        let home: Int
        let log: Recorder<String>
        var count = 0

        init(_ reactor: Reactor, _ log: Recorder<String> = Recorder()) {
            home = reactor.index
            self.log = log
            log.add("made \(home) on \(reactor.index)")
        }

        deinit { log.add("gone \(home) on \(Reactor.current?.index ?? -1)") }

        func add() -> Int {
            count += 1
            #expect(Reactor.current?.index == home)
            return count
        }
    }

    @Test("Sharded: an instance per reactor, made and destroyed on it, also after a restart", arguments: reactorCounts)
    func shardedLife(reactors: Int) async throws {
        let engine = try engine(reactors: reactors)
        let log = Recorder<String>()
        let counters = engine.makeSharded { Counter($0, log) }
        for _ in 0..<2 {
            try await engine.start()
            let homes = try await counters.mapReduce(into: []) {
                $0.home
            } _: {
                $0.append($1)
            }
            #expect(homes == Array(0..<reactors))
            await engine.stop()
        }
        let shards = 0..<reactors
        let expected = shards.flatMap { Array(repeating: ["made \($0) on \($0)", "gone \($0) on \($0)"], count: 2) }
        #expect(log.values.sorted() == expected.flatMap { $0 }.sorted())
    }

    @Test("Sharded: work runs on its shard, from outside and from other reactors, in the order of its giver")
    func shardedWork() async throws {
        let engine = try engine(reactors: 3)
        let counters = engine.makeSharded { Counter($0) }
        try await engine.start()
        for shard in 0..<3 {
            for turn in 1...3 { #expect(try await counters.invoke(on: shard) { $0.add() } == turn) }
        }
        // From a reactor: its own, and the others.
        let sums = try await engine.reactors[1].execute { _ in
            var sums: [Int] = []
            for shard in 0..<3 { sums.append(try await counters.invoke(on: shard) { $0.add() }) }
            sums.append(try counters.local.add())
            return sums
        }
        #expect(sums == [4, 4, 4, 5])
        try await counters.invokeOnAll { _ = $0.add() }
        #expect(
            try await counters.mapReduce(into: 0) {
                $0.count
            } _: {
                $0 += $1
            } == 16
        )
        let order = Recorder<Int>()
        let done = Gate()
        engine.reactors[0].submit {
            for number in 0..<100 { counters.submit(to: 2) { _ in order.add(number) } }
            counters.submit(to: 2) { _ in done.arrive() }
        }
        await done.wait()
        #expect(order.values == Array(0..<100))
        await engine.stop()
    }

    @Test("Sharded: protocols find their core's instance in callbacks, from the first connection on")
    func shardedInCallbacks() async throws {
        final class Counting: StreamProtocol {
            let transport: any StreamTransport
            let counters: Sharded<Counter>
            init(_ transport: any StreamTransport, _ counters: Sharded<Counter>) {
                (self.transport, self.counters) = (transport, counters)
            }
            func connectionMade() throws {
                transport.write("\(try counters.local.add())")
                transport.loseConnection()
            }
            func dataReceived(_ bytes: Span<UInt8>) throws {}
        }
        let engine = try engine(reactors: 2)
        let counters = engine.makeSharded { Counter($0) }
        let address = try engine.listen(on: .loopback(port: 0)) { Counting($0, counters) }.address
        try await engine.start()
        let client = try await Client()
        for _ in 0..<20 { #expect(await client.exchange([], with: address).received.first ?? 0 >= UInt8(ascii: "1")) }
        #expect(
            try await counters.mapReduce(into: 0) {
                $0.count
            } _: {
                $0 += $1
            } == 20
        )
        await client.stop()
        await engine.stop()
    }

    @Test("Sharded: services are made in order and stopped in reverse, each on all cores before the next")
    func shardedOrder() async throws {
        let engine = try engine(reactors: 2)
        let log = Recorder<String>()
        let first = engine.makeSharded { reactor -> Counter in
            log.add("first")
            return Counter(reactor)
        } stop: { _ in
            log.add("first stops")
        }
        let second = engine.makeSharded { reactor -> Counter in
            // Made after all of the first: it may use it.
            _ = try first.local.add()
            log.add("second")
            return Counter(reactor)
        } stop: { _ in
            _ = try first.local.add()
            log.add("second stops")
        }
        try await engine.start()
        #expect(second.shardCount == 2)
        await engine.stop()
        let order = ["first", "second", "second stops", "first stops"]
        #expect(log.values == order.flatMap { [$0, $0] })
    }

    @Test("Sharded: an instance that cannot be made fails the start, with its shard; what was made is destroyed")
    func shardedFailure() async throws {
        struct NoDisk: Error {}
        let engine = try engine(reactors: 2)
        let log = Recorder<String>()
        _ = engine.makeSharded { Counter($0, log) }
        _ = engine.makeSharded { reactor -> Counter in
            guard reactor.index == 0 else { throw NoDisk() }
            return Counter(reactor)
        }
        let error = await #expect(throws: StartError.self) { try await engine.start() }
        #expect(error.map { "\($0)" } == "a service could not be made on reactor 1: NoDisk()")
        #expect(engine.phase == .idle)
        #expect(log.values.count { $0.hasPrefix("gone") } == 2)
    }

    @Test("Sharded: made while the engine runs it is there for whoever asks next; without an engine it says so")
    func shardedLate() async throws {
        struct NoDisk: Error {}
        let log = CapturedLog()
        let engine = try SpindleTests.engine(reactors: 2, log: log)
        try await engine.start()
        let counters = engine.makeSharded { Counter($0) }
        #expect(try await counters.invoke(on: 1) { $0.add() } == 1)
        #expect(throws: ShardUnavailable(shard: nil)) { try counters.local }
        let missing = engine.makeSharded { _ -> Counter in throw NoDisk() }
        await #expect(throws: ShardUnavailable(shard: 1)) { try await missing.invoke(on: 1) { $0.add() } }
        #expect(log.messages.contains { $0.contains("NoDisk") })
        await engine.stop()
        await #expect(throws: ShardUnavailable.self) { try await counters.invoke(on: 0) { $0.add() } }
        #expect(counters.submit(to: 0) { _ in Issue.record("it ran") } != .full)
    }

    @Test("Sharded: keys lie where they lie in every run: the hashes are FNV-1a and MurmurHash3's finalizer")
    func shardKeys() {
        // Computed with an implementation of our own in Python: tools that spread keys elsewhere must agree.
        #expect("".shardHash == 0xEFD0_1F60_BA99_2926)
        #expect("a".shardHash == 0x82A2_A958_A9BE_CE5B)
        #expect("spindle".shardHash == 0x097B_70F2_0F2C_F642)
        #expect(0.shardHash == 0)
        #expect(1.shardHash == 0xB456_BCFC_34C2_CB2C)
        #expect((-1).shardHash == UInt64.max.shardHash)
        #expect(Int32(-7).shardHash == (-7).shardHash)
        #expect([UInt8]("spindle".utf8).shardHash == "spindle".shardHash)
        #expect(ByteChunk([UInt8]("spindle".utf8)).shardHash == "spindle".shardHash)
        #expect("xspindle".dropFirst().shardHash == "spindle".shardHash)
        for count in [1, 2, 3, 7, 64] {
            var hits = [Int](repeating: 0, count: count)
            for number in 0..<10_000 { hits["key:\(number)".shard(of: count)] += 1 }
            let mean = 10_000 / count
            #expect(hits.allSatisfy { abs($0 - mean) < 6 * Int(Double(mean).squareRoot()) + 1 }, "\(hits)")
        }
    }

    /// Returns when every job that was submitted before has run.
    private func settle(_ handle: ReactorHandle) async {
        let done = Gate()
        handle.submit { done.arrive() }
        await done.wait()
    }

    @Test("Foreign: a value is used and destroyed at home, whoever drops it")
    func foreignValues() async throws {
        let engine = try engine(reactors: 2)
        try await engine.start()
        let log = Recorder<String>()
        let made = Recorder<Foreign<Counter>>()
        try await engine.reactors[0].execute { _ in
            made.add(Foreign(Counter(try #require(Reactor.current), log)))
        }
        let handles = engine.reactors
        let sum = await handles[1].execute { _ in
            _ = await made.values[0].use { $0.add() }
            return await made.values[0].use { $0.add() }
        }
        #expect(sum == 2)
        #expect(made.values[0].home === handles[0])
        #expect(log.values == ["made 0 on 0"])
        // The last reference is dropped on the other reactor, and from here.
        for dropper in [1, -1] {
            log.clear()
            let box = Guarded<Foreign<Counter>?>(nil)
            try await handles[0].execute { _ in
                let value = Foreign(Counter(try #require(Reactor.current), log))
                box.withLock { $0 = value }
            }
            if dropper == 1 {
                await handles[1].execute { _ in box.withLock { $0 = nil } }
            } else {
                box.withLock { $0 = nil }
            }
            await settle(handles[0])
            #expect(log.values == ["made 0 on 0", "gone 0 on 0"])
        }
        made.clear()
        await engine.stop()
    }

    @Test("Foreign: what comes home after its reactor has stopped is destroyed where it was dropped")
    func foreignOrphan() async throws {
        let engine = try engine(reactors: 1)
        try await engine.start()
        let log = Recorder<String>()
        let box = Guarded<Foreign<Counter>?>(nil)
        try await engine.reactors[0].execute { _ in
            let value = Foreign(Counter(try #require(Reactor.current), log))
            box.withLock { $0 = value }
        }
        await engine.stop()
        #expect(log.values == ["made 0 on 0"])
        box.withLock { $0 = nil }
        #expect(log.values == ["made 0 on 0", "gone 0 on -1"])
    }

    @Test("Foreign: `take` gives the value back once")
    func foreignTaken() async throws {
        let engine = try engine(reactors: 1)
        try await engine.start()
        try await engine.reactors[0].execute { _ in
            let value = Foreign(Counter(try #require(Reactor.current)))
            #expect(value.withValue { $0.add() } == 1)
            #expect(value.take()?.add() == 2)
            #expect(value.take() == nil)
        }
        await engine.stop()
    }

    @Test("Foreign: destroyed at home, also when home is faster than whoever let go", arguments: [0, 5])
    func foreignRace(spinMilliseconds: Int) async throws {
        final class Thing {
            let home: ReactorHandle
            let strays: Recorder<Int>
            init(_ home: ReactorHandle, _ strays: Recorder<Int>) { (self.home, self.strays) = (home, strays) }
            deinit { if Reactor.current?.handle !== home { strays.add(1) } }
        }
        let engine = try engine(reactors: 2) { $0.limits.idleSpin = .milliseconds(spinMilliseconds) }
        try await engine.start()
        let (handles, strays) = (engine.reactors, Recorder<Int>())
        for round in 0..<1000 {
            await handles[0].execute { _ in
                let value = Foreign(Thing(handles[0], strays))
                if round % 2 == 0 { handles[1].submit { _ = value } }
            }
            _ = await handles[0].execute { _ in Foreign(Thing(handles[0], strays)) }
        }
        for handle in handles + handles { await settle(handle) }
        #expect(strays.values.isEmpty)
        await engine.stop()
    }

    @Test("Sharded: one that a startup trigger or another service makes is made on every reactor")
    func shardedInTrigger() async throws {
        let engine = try engine(reactors: 2)
        let (made, kept) = (Recorder<String>(), Recorder<Sharded<Counter>>())
        engine.addStartupTrigger(.during) { [unowned engine] in
            kept.add(
                engine.makeSharded { reactor in
                    made.add("trigger's on \(reactor.index)")
                    return Counter(reactor)
                }
            )
        }
        _ = engine.makeSharded { [unowned engine] reactor in
            if reactor.index == 0 {
                kept.add(
                    engine.makeSharded { reactor in
                        made.add("other's on \(reactor.index)")
                        return Counter(reactor)
                    }
                )
            }
            return Counter(reactor)
        }
        try await engine.start()
        for service in kept.values { try await service.invokeOnAll { _ = $0.add() } }
        #expect(made.values.sorted() == ["other's on 0", "other's on 1", "trigger's on 0", "trigger's on 1"])
        await engine.stop()
    }

    @Test("Sharded: invoke keeps work on its reactor after an await, whoever calls")
    func shardedIsolation() async throws {
        let engine = try engine(reactors: 1)
        let counters = engine.makeSharded { Counter($0) }
        try await engine.start()
        try await engine.reactors[0].execute { _ in
            // On the reactor's thread, and isolated to nothing.
            let task = Task.immediate { @concurrent in
                try await counters.invoke(on: 0) { counter in
                    _ = counter.add()
                    await Task.yield()
                    #expect(Reactor.current?.index == 0)
                    _ = counter.add()
                }
            }
            try await task.value
        }
        await engine.stop()
    }

    @Test("Sharded: stop may use the blocking pool, and is called for what was made when a start fails later")
    func shardedStops() async throws {
        struct NoDisk: Error {}
        let engine = try engine(reactors: 2)
        let (log, pool) = (Recorder<String>(), engine.blockingPool)
        _ = engine.makeSharded {
            Counter($0)
        } stop: { counter in
            log.add(try await pool.run { "flushed" } + " \(counter.home)")
        }
        try await engine.start()
        await engine.stop()
        #expect(log.values.sorted() == ["flushed 0", "flushed 1"])
        log.clear()
        engine.addStartupTrigger(.during) { throw NoDisk() }
        await #expect(throws: NoDisk.self) { try await engine.start() }
        #expect(log.values.sorted() == ["flushed 0", "flushed 1"])
    }
}
