// SPDX-License-Identifier: Apache-2.0

import Glibc
import Spindle
import SpindleSystem
import SpindleTopology
import Synchronization
import Testing

extension EngineTests {
    /// Counts what happens to it, with the reactor on which it does.
    final class CountingFactory: StreamProtocolFactory {
        let events: Recorder<String>
        let home = Reactor.current?.index ?? -1
        init(_ events: Recorder<String>) { self.events = events }
        private func note(_ what: String) { events.add("\(what) \(home)\(Reactor.current?.index == home ? "" : "!")") }
        func startFactory() { note("start") }
        func stopFactory() { note("stop") }
        func buildProtocol(for transport: any StreamTransport) -> (any StreamProtocol)? {
            note("build")
            return Echo(transport)
        }
    }

    @Test("N2, C38: each reactor has its own factory, started and stopped once for two ports", arguments: reactorCounts)
    func factoryPerReactor(reactors: Int) async throws {
        let events = Recorder<String>()
        let server = try engine(reactors: reactors)
        let listener = try server.listen(on: [.loopback(port: 0), .loopback(port: 0)]) { CountingFactory(events) }
        #expect(Set(listener.addresses.map(\.port)).count == 2)
        try server.start()
        let client = try Client()
        for round in 0..<16 { _ = await client.exchange([1], with: listener.addresses[round % 2]) }
        await listener.stopListening()
        await server.stop()
        await client.stop()
        let seen = events.values
        #expect(seen.filter { $0.hasPrefix("build") }.count == 16)
        #expect(seen.filter { $0.hasPrefix("start") }.sorted() == (0..<reactors).map { "start \($0)" })
        #expect(seen.filter { $0.hasPrefix("stop") }.sorted() == (0..<reactors).map { "stop \($0)" })
        #expect(!seen.contains { $0.hasSuffix("!") })
    }

    @Test("N1: every callback of a protocol comes on the thread of its reactor", arguments: reactorCounts)
    func oneThread(reactors: Int) async throws {
        final class Witness: StreamProtocol {
            let transport: any StreamTransport
            let strays: Recorder<String>
            private let thread = SystemThread.currentID
            init(_ transport: any StreamTransport, _ strays: Recorder<String>) {
                self.transport = transport
                self.strays = strays
            }
            private func check(_ callback: String) {
                if SystemThread.currentID != thread { strays.add(callback) }
            }
            func connectionMade() { check("made") }
            func dataReceived(_ bytes: Span<UInt8>) {
                check("data")
                transport.write(bytes)
            }
            func readConnectionLost() {
                check("read lost")
                transport.loseConnection()
            }
            func connectionLost(_ reason: DisconnectReason) { check("lost") }
        }
        let strays = Recorder<String>()
        let server = try engine(reactors: reactors)
        let address = try server.listen(on: .loopback(port: 0)) { Witness($0, strays) }.address
        try server.start()
        let client = try Client()
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<12 { group.addTask { _ = await client.exchange([1, 2, 3], with: address) } }
        }
        await client.stop()
        await server.stop()
        #expect(strays.values.isEmpty)
    }

    @Test("C46: startup runs before, during, after, each in order; callWhenRunning comes on every reactor")
    func startupOrder() async throws {
        let order = Recorder<String>()
        let server = try engine(reactors: 2)
        for phase in [TriggerPhase.after, .during, .before] {
            for number in 1...2 { server.addStartupTrigger(phase) { order.add("\(phase) \(number)") } }
        }
        let running = Gate(4)
        let calls = Recorder<Int>()
        for _ in 0..<2 {
            server.callWhenRunning { reactor in
                calls.add(reactor.index)
                running.arrive()
            }
        }
        try server.start()
        await running.wait()
        let late = Gate(2)
        server.callWhenRunning { _ in late.arrive() }
        await late.wait()
        await server.stop()
        #expect(order.values == ["before 1", "before 2", "during 1", "during 2", "after 1", "after 2"])
        #expect(calls.values.sorted() == [0, 0, 1, 1])
    }

    @Test("a startup trigger that throws fails the start, and nothing runs")
    func startupFailure() async throws {
        struct Refused: Error {}
        let server = try engine(reactors: 2)
        _ = try server.listen(on: .loopback(port: 0)) { Echo($0) }
        let id = server.addStartupTrigger(.during) { throw Refused() }
        #expect(throws: Refused.self) { try server.start() }
        #expect(server.phase == .idle)
        #expect(server.removeTrigger(id))
        #expect(!server.removeTrigger(id))
        try server.start()
        await server.stop()
    }

    @Test("C47: an asynchronous before trigger delays the rest while connections live on; each runs once")
    func shutdownOrder() async throws {
        struct Broken: Error {}
        let log = CapturedLog()
        let order = Recorder<String>()
        let server = try engine(reactors: 2, log: log)
        let address = try server.listen(on: .loopback(port: 0)) { Echo($0) }.address
        try server.start()
        let client = try Client()
        server.addShutdownTrigger(.before) { throw Broken() }
        server.addShutdownTrigger(.before) {
            // The engine still serves here.
            let outcome = await client.exchange([5], with: address)
            order.add("before \(outcome.received)")
        }
        server.addShutdownTrigger(.during) { [unowned server] in
            order.add("during \(server.snapshot()[.openConnections])")
        }
        server.addShutdownTrigger(.after) { [unowned server] in order.add("after \(server.phase)") }
        let removed = server.addShutdownTrigger(.during) { order.add("removed") }
        server.removeTrigger(removed)
        await server.stop()
        await server.stop()
        #expect(order.values == ["before [5]", "during 0", "after stopping"])
        #expect(log.messages.contains { $0.contains("Broken") })
        await client.stop()
    }

    @Test("C47: a trigger that never returns holds a stop up to the deadline and no longer")
    func triggerDeadline() async throws {
        let log = CapturedLog()
        let server = try engine(reactors: 1, log: log)
        let never = Gate()
        server.addShutdownTrigger(.before) { await never.wait() }
        try server.start()
        await server.stop(deadline: .milliseconds(30))
        #expect(server.phase == .idle)
        #expect(log.messages.contains { $0.contains("deadline") })
        never.arrive()
    }

    @Test("N3: all reactors have stopped accepting before any begins to close connections")
    func stopAcceptingFirst() async throws {
        let server = try engine(reactors: 4)
        let events = Recorder<String>()
        final class Noting: StreamProtocol {
            let transport: any StreamTransport
            let events: Recorder<String>
            init(_ transport: any StreamTransport, _ events: Recorder<String>) {
                self.transport = transport
                self.events = events
            }
            func dataReceived(_ bytes: Span<UInt8>) { transport.write(bytes) }
            func connectionLost(_ reason: DisconnectReason) { events.add("lost") }
        }
        final class Factory: StreamProtocolFactory {
            let events: Recorder<String>
            init(_ events: Recorder<String>) { self.events = events }
            func buildProtocol(for transport: any StreamTransport) -> (any StreamProtocol)? {
                Noting(transport, events)
            }
            func stopFactory() { events.add("stopped") }
        }
        let address = try server.listen(on: [.loopback(port: 0)]) { Factory(events) }.address
        try server.start()
        let client = try Client()
        for _ in 0..<12 { _ = await client.open(address, sending: [1]) }
        await server.stop()
        await client.stop()
        let seen = events.values
        #expect(seen.filter { $0 == "stopped" }.count == 4)
        #expect(seen.firstIndex(of: "lost").map { $0 >= 4 } == true)
    }

    @Test("C50: SIGTERM drains and run returns; the handlers before are back afterwards")
    func signals() async throws {
        let server = try engine(reactors: 1)
        let ready = Gate()
        server.callWhenRunning { _ in ready.arrive() }
        let before = handler(SIGTERM)
        async let running: Void = server.run()
        await ready.wait()
        #expect(handler(SIGTERM) != before)
        kill(getpid(), SIGTERM)
        try await running
        #expect(handler(SIGTERM) == before)
        #expect(server.phase == .idle)
    }

    private func handler(_ signal: Int32) -> Int {
        var action = sigaction()
        _ = unsafe sigaction(signal, nil, &action)
        return unsafe unsafeBitCast(action.__sigaction_handler, to: Int.self)
    }

    @Test("no thread but a reactor's has a reactor's mask or memory policy, and reactors are where the plan says")
    func masks() async throws {
        let cpus = try SystemThread.affinity()
        let server = try pinnedEngine(on: cpus)
        let places = Recorder<String>()
        let seen = Gate(cpus.count)
        server.callWhenRunning { reactor in
            places.add("\(reactor.index): \(try SystemThread.affinity()), \(MemoryPolicy.preferredNode() ?? -1)")
            seen.arrive()
        }
        try server.start()
        await seen.wait()
        // Work for every pool that Swift has (one per priority) from a pinned thread: the threads that this makes
        // it start must not inherit anything.
        let priorities = [TaskPriority.high, .medium, .low, .background]
        let jobs = Gate(cpus.count * priorities.count * 8)
        let policies = Recorder<Int>()
        server.callWhenRunning { _ in
            for priority in priorities {
                for _ in 0..<8 {
                    Task.detached(priority: priority) {
                        if let node = MemoryPolicy.preferredNode() { policies.add(node) }
                        jobs.arrive()
                    }
                }
            }
        }
        await jobs.wait()
        for (name, allowed) in try masksOfOtherThreads() { #expect(allowed == cpus, "thread \(name)") }
        #expect(policies.values.isEmpty)
        await server.stop()
        let node = MemoryPolicy.isAvailable ? 0 : -1
        let planned = server.placement.reactors.map { "\($0.index): \(Array($0.allowedCPUs)), \(node)" }
        #expect(Set(places.values) == Set(planned))
    }

    /// A reactor on each of this machine's CPUs, which are node 0 of a machine that has a node without CPUs, too.
    private func pinnedEngine(on cpus: [Int]) throws -> Engine {
        let machine = MachineTopology(
            cpus: cpus.map { LogicalCPU(id: $0) },
            nodes: [NUMANode(id: 0, cpus: CPUSet(cpus)), NUMANode(id: 1, cpus: [])]
        )
        var configuration = EngineConfiguration()
        configuration.placement.pin = .always
        return try Engine(configuration, machine: machine)
    }

    /// The CPUs that every thread that is no reactor's may run on.
    private func masksOfOtherThreads() throws -> [(name: String, cpus: [Int])] {
        let files = SystemFiles()
        return try files.names(in: "/proc/self/task").compactMap { thread in
            guard case .text(let name) = files.read("/proc/self/task/\(thread)/comm"),
                case .text(let status) = files.read("/proc/self/task/\(thread)/status"), !isReactor(name)
            else { return nil }
            let line = status.split(separator: "\n").first { $0.hasPrefix("Cpus_allowed_list:") } ?? ""
            let text = line.split(separator: "\t").last.map(String.init) ?? ""
            return (name, Array(try CPUSet(parsing: text)))
        }
    }

    private func isReactor(_ name: String) -> Bool {
        name.hasPrefix("spindle-") && name.dropFirst("spindle-".count).first?.isNumber == true
    }
}
