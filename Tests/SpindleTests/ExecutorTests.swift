// SPDX-License-Identifier: Apache-2.0

import Spindle
import SpindleSystem
import Synchronization
import Testing

/// Reactors as executors of Swift tasks and actors.
extension EngineTests {
    /// Lives on a reactor and sees to it that it does.
    private actor Counter {
        let reactor: ReactorHandle
        private(set) var values: [Int] = []
        private(set) var strays = 0

        nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe reactor.asUnownedSerialExecutor() }

        init(_ reactor: ReactorHandle) { self.reactor = reactor }

        func add(_ value: Int) {
            values.append(value)
            if Reactor.current?.handle !== reactor { strays += 1 }
        }

        func visit(_ other: Counter, times: Int) async {
            for value in 0..<times {
                await other.add(value)
                add(value)
            }
        }
    }

    @Test(
        "an actor runs on the reactor whose executor it has, and hops between reactors and back",
        arguments: [1, 2, 4]
    )
    func actorsOnReactors(reactors: Int) async throws {
        let server = try engine(reactors: reactors)
        try await server.start()
        let counters = server.reactors.map { Counter($0) }
        await withTaskGroup(of: Void.self) { group in
            for (index, counter) in counters.enumerated() {
                group.addTask { await counter.visit(counters[(index + 1) % counters.count], times: 500) }
            }
        }
        for counter in counters {
            #expect(await counter.strays == 0)
            #expect(await counter.values.count == 1000)
        }
        await server.stop()
    }

    @Test("100,000 hops into a reactor that stalls all arrive, once each")
    func hopsIntoStalledReactor() async throws {
        let server = try engine(reactors: 2)
        try await server.start()
        let counter = Counter(server.reactors[1])
        let isStalled = Atomic(true)
        server.reactors[1].submit { while isStalled.load(ordering: .acquiring) { SystemThread.yield() } }
        let started = Recorder<Int>()
        server.reactors[0].submit {
            for value in 0..<100_000 {
                Task {
                    started.add(value)
                    await counter.add(value)
                }
            }
        }
        while started.values.count < 100_000 { await Task.yield() }
        isStalled.store(false, ordering: .releasing)
        while await counter.values.count < 100_000 { await Task.yield() }
        #expect(await counter.values.sorted() == Array(0..<100_000))
        #expect(await counter.strays == 0)
        await server.stop()
    }

    @Test("jobs of one reactor for another run there in the order in which they were given, a stall between")
    func hopsInOrder() async throws {
        let server = try engine(reactors: 2)
        try await server.start()
        let (sender, receiver) = (server.reactors[0], server.reactors[1])
        let counter = Counter(receiver)
        let isStalled = Atomic(true)
        receiver.submit { while isStalled.load(ordering: .acquiring) { SystemThread.yield() } }
        sender.submit {
            // Each begins on the receiver's executor: the order of jobs is that of these lines.
            for value in 0..<10_000 { Task.immediate { await counter.add(value) } }
            isStalled.store(false, ordering: .releasing)
        }
        while await counter.values.count < 10_000 { await Task.yield() }
        #expect(await counter.values == Array(0..<10_000))
        // More than the mailbox takes: the others waited at the sender's.
        #expect(server.snapshot()[.hopsThatWaited] >= 10_000 - 1024)
        await server.stop()
    }

    @Test("execute runs its body on the reactor and returns its result or error, from anywhere", arguments: [1, 2, 4])
    func executeOnReactor(reactors: Int) async throws {
        struct Failure: Error {}
        let server = try engine(reactors: reactors)
        try await server.start()
        for handle in server.reactors {
            let index = await handle.execute { isolation in
                isolation.assertIsolated()
                return Reactor.current?.index
            }
            #expect(index == handle.index)
            await #expect(throws: Failure.self) { try await handle.execute { _ in throw Failure() } }
        }
        await server.stop()
    }

    @Test("callbacks are isolated to their reactor: assumeIsolated runs its body at once", arguments: [1, 2])
    func assumeIsolated(reactors: Int) async throws {
        final class Isolated: StreamProtocol {
            let transport: any StreamTransport
            init(_ transport: any StreamTransport) { self.transport = transport }
            func dataReceived(_ bytes: Span<UInt8>) {
                let count = bytes.count
                let isHere = Reactor.current?.isolation.assumeIsolated { isolation in
                    isolation.assertIsolated()
                    return count > 0
                }
                transport.write(isHere == true ? "here" : "elsewhere")
            }
        }
        let server = try engine(reactors: reactors)
        let address = try server.listen(on: .loopback(port: 0)) { Isolated($0) }.address
        try await server.start()
        let client = try await Client()
        #expect(await client.exchange([1], with: address).received == Array("here".utf8))
        await client.stop()
        await server.stop()
    }

    @Test("assumeIsolated traps on a thread that is not the reactor's")
    func assumeIsolatedElsewhere() async {
        await #expect(processExitsWith: .failure) {
            let server = try engine(reactors: 1)
            try await server.start()
            func assume() { server.reactors[0].assumeIsolated { _ in } }
            assume()
        }
    }

    @Test("tasks that prefer a reactor run on it, their children too")
    func executorPreference() async throws {
        let server = try engine(reactors: 2)
        try await server.start()
        let handle = server.reactors[1]
        let seen = await withTaskExecutorPreference(handle) {
            async let child = whereAmI()
            return [await whereAmI(), await child]
        }
        #expect(seen == [1, 1])
        await server.stop()
    }

    @Test("a task that outlives its reactor goes on elsewhere, one step at a time, and ends")
    func tasksAliveAtStop() async throws {
        let server = try engine(reactors: 2)
        try await server.start()
        let counter = Counter(server.reactors[0])
        let (began, mayEnd) = (Gate(20), Gate())
        let handle = server.reactors[0]
        let tasks = (0..<20).map { value in
            Task {
                await handle.execute { _ in
                    began.arrive()
                    await mayEnd.wait()
                    await counter.add(value)
                    await Task.yield()
                    await counter.add(value)
                }
            }
        }
        await began.wait()
        await server.stop()
        mayEnd.arrive()
        for task in tasks { await task.value }
        #expect(await counter.values.count == 40)
        #expect(await handle.execute { _ in 7 } == 7, "and what begins then")
    }

    @Test("a task that yields without end keeps neither connections nor timers waiting")
    func yieldingTask() async throws {
        let server = try engine(reactors: 1)
        let address = try server.serve(on: .loopback(port: 0)) { connection in
            while try await connection.read({ connection.write($0) }) != nil {}
        }.address
        try await server.start()
        let isOver = Atomic(false)
        let handle = server.reactors[0]
        let spinning = Task {
            await handle.execute { _ in while !isOver.load(ordering: .relaxed) { await Task.yield() } }
        }
        let fired = Gate()
        server.reactors[0].submit { Reactor.current?.callLater(.milliseconds(1)) { fired.arrive() } }
        let client = try await Client()
        #expect(await client.exchange([1, 2, 3], with: address).received == [1, 2, 3])
        await fired.wait()
        isOver.store(true, ordering: .relaxed)
        await spinning.value
        await client.stop()
        await server.stop()
    }
}

private nonisolated func whereAmI() async -> Int {
    await Task.yield()
    return Reactor.current?.index ?? -1
}
