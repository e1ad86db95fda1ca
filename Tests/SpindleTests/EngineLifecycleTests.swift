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
        try await server.start()
        let client = try await Client()
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

    /// Goes through every callback that a protocol has, and tells which came where.
    private final class Witness: StreamProtocol {
        let transport: any StreamTransport
        private let seen: Recorder<String>
        private let isFull: @Sendable (_ port: UInt16) -> Void
        private let thread = SystemThread.currentID
        private let reactor = Reactor.current?.index ?? -1

        init(_ transport: any StreamTransport, _ seen: Recorder<String>, isFull: @escaping @Sendable (UInt16) -> Void) {
            self.transport = transport
            self.seen = seen
            self.isFull = isFull
        }

        private func note(_ callback: String) {
            let isHome = SystemThread.currentID == thread && Reactor.current?.index == reactor
            seen.add(isHome ? callback : "\(callback), elsewhere")
        }

        func connectionMade() {
            note("made")
            transport.setIdleTimeout(.milliseconds(1))
        }
        func idleTimeoutExpired() {
            note("idle")
            transport.setIdleTimeout(nil)
            transport.write("say something")
        }
        func dataReceived(_ bytes: Span<UInt8>) {
            note("data")
            // More than both kernels' buffers hold (4 and 6 MiB), less than the limit: it has to wait.
            transport.write([UInt8](repeating: 3, count: 14 << 20))
        }
        func highWatermarkReached() {
            note("high watermark")
            isFull(transport.peerAddress.port)
        }
        func lowWatermarkReached() { note("low watermark") }
        func writeDrained() {
            note("drained")
            transport.loseWriteConnection()
        }
        func writeConnectionLost() { note("write lost") }
        func readConnectionLost() {
            note("read lost")
            transport.loseConnection()
        }
        func connectionLost(_ reason: DisconnectReason) { note("lost") }
    }

    /// Answers once, and then reads nothing before it is told to.
    private final class Answering: StreamProtocol {
        let transport: any StreamTransport
        private let ended: @Sendable () -> Void
        private var hasAnswered = false
        init(_ transport: any StreamTransport, ended: @escaping @Sendable () -> Void) {
            self.transport = transport
            self.ended = ended
        }
        func dataReceived(_ bytes: Span<UInt8>) {
            guard !hasAnswered else { return }
            hasAnswered = true
            transport.write("something")
            transport.pauseProducing()
        }
        func connectionLost(_ reason: DisconnectReason) { ended() }
    }

    @Test("N1: every callback of a protocol comes on the thread of its reactor", arguments: reactorCounts)
    func oneThread(reactors: Int) async throws {
        let seen = Recorder<String>()
        let server = try engine(reactors: reactors)
        let clients = try engine(reactors: 1)
        try await clients.start()
        let client = clients.reactors[0]
        // Only the one that is full: another may have paused and not been written to yet.
        let readOn: @Sendable (UInt16) -> Void = { port in
            client.submit {
                Reactor.current?.forEachConnection { if $0.localAddress.port == port { $0.resumeProducing() } }
            }
        }
        let address = try server.listen(on: .loopback(port: 0)) { Witness($0, seen, isFull: readOn) }.address
        try await server.start()
        let ended = Gate(12)
        for _ in 0..<12 {
            clients.callWhenRunning { reactor in
                reactor.connect(to: address) {
                    Answering($0, ended: { ended.arrive() })
                } completion: { result in
                    guard case .failure(let error) = result else { return }
                    Issue.record("\(error)")
                    ended.arrive()
                }
            }
        }
        await ended.wait()
        await clients.stop()
        await server.stop()
        let every: Set = [
            "made", "idle", "data", "high watermark", "low watermark", "drained", "write lost", "read lost", "lost",
        ]
        #expect(Set(seen.values) == every)
    }

    @Test(
        "C46: startup runs before, during, after, each in order; callWhenRunning comes on every reactor",
        arguments: reactorCounts
    )
    func startupOrder(reactors: Int) async throws {
        let order = Recorder<String>()
        let server = try engine(reactors: reactors)
        for phase in [TriggerPhase.after, .during, .before] {
            for number in 1...2 { server.addStartupTrigger(phase) { order.add("\(phase) \(number)") } }
        }
        let running = Gate(2 * reactors)
        let calls = Recorder<[Int]>()
        for number in 1...2 {
            server.callWhenRunning { [unowned server] reactor in
                calls.add([reactor.index, number])
                #expect(server.phase == .running)
                running.arrive()
            }
        }
        try await server.start()
        await running.wait()
        let late = Gate(reactors)
        server.callWhenRunning { _ in late.arrive() }
        await late.wait()
        await server.stop()
        #expect(order.values == ["before 1", "before 2", "during 1", "during 2", "after 1", "after 2"])
        for index in 0..<reactors {
            #expect(calls.values.filter { $0[0] == index } == [[index, 1], [index, 2]], "in the order of the calls")
        }
    }

    @Test("a startup trigger that throws fails the start, and nothing runs", arguments: reactorCounts)
    func startupFailure(reactors: Int) async throws {
        struct Refused: Error {}
        let server = try engine(reactors: reactors)
        _ = try server.listen(on: .loopback(port: 0)) { Echo($0) }
        let id = server.addStartupTrigger(.during) { throw Refused() }
        await #expect(throws: Refused.self) { try await server.start() }
        #expect(server.phase == .idle)
        #expect(server.removeTrigger(id))
        #expect(!server.removeTrigger(id))
        try await server.start()
        await server.stop()
    }

    @Test(
        "C47: an asynchronous before trigger delays the rest while connections live on; each runs once",
        arguments: reactorCounts
    )
    func shutdownOrder(reactors: Int) async throws {
        struct Broken: Error {}
        let log = CapturedLog()
        let order = Recorder<String>()
        let server = try engine(reactors: reactors, log: log)
        let address = try server.listen(on: .loopback(port: 0)) { Echo($0) }.address
        try await server.start()
        let client = try await Client()
        server.addShutdownTrigger(.before) { throw Broken() }
        server.addShutdownTrigger(.before) {
            // The engine still serves here.
            let outcome = await client.exchange([5], with: address)
            order.add("before \(outcome.received)")
        }
        server.addShutdownTrigger(.during) { throw Broken() }
        server.addShutdownTrigger(.after) { throw Broken() }
        server.addShutdownTrigger(.during) { [unowned server] in
            order.add("during \(server.snapshot()[.openConnections])")
        }
        server.addShutdownTrigger(.after) { [unowned server] in order.add("after \(server.phase)") }
        let removed = server.addShutdownTrigger(.during) { order.add("removed") }
        server.removeTrigger(removed)
        await server.stop()
        await server.stop()
        #expect(order.values == ["before [5]", "during 0", "after stopping"])
        #expect(log.messages.count { $0.contains("Broken") } == 3, "each phase goes on after what throws")
        await client.stop()
    }

    @Test("C47: a trigger that never returns holds a stop up to the deadline and no longer", arguments: reactorCounts)
    func triggerDeadline(reactors: Int) async throws {
        let log = CapturedLog()
        let server = try engine(reactors: reactors, log: log)
        let never = Gate()
        server.addShutdownTrigger(.before) { await never.wait() }
        try await server.start()
        await server.stop(deadline: .milliseconds(30))
        #expect(server.phase == .idle)
        #expect(log.messages.contains { $0.contains("deadline") })
        never.arrive()
    }

    @Test("N3: all reactors have stopped accepting before any begins to close connections", arguments: reactorCounts)
    func stopAcceptingFirst(reactors: Int) async throws {
        let server = try engine(reactors: reactors)
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
        try await server.start()
        let client = try await Client()
        for _ in 0..<12 { _ = await client.open(address, sending: [1]) }
        await server.stop()
        await client.stop()
        let seen = events.values
        #expect(seen.filter { $0 == "stopped" }.count == reactors)
        #expect(seen.firstIndex(of: "lost").map { $0 >= reactors } == true)
    }

    @Test("C50: SIGTERM drains and run returns; the handlers before are back afterwards", arguments: reactorCounts)
    func signals(reactors: Int) async throws {
        let server = try engine(reactors: reactors)
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
        try await server.start()
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
