// SPDX-License-Identifier: Apache-2.0

import Glibc
import Spindle
import SpindleSystem
import SpindleTopology
import Testing

/// Keeps what was logged.
final class CapturedLog: LogSink {
    private let records = Guarded<[LogRecord]>([])
    func write(_ record: LogRecord) { records.withLock { $0.append(record) } }
    var messages: [String] { records.withLock { $0.map(\.message) } }
}

/// Keeps values from any thread, in order.
final class Recorder<Value: Sendable>: Sendable {
    private let kept = Guarded<[Value]>([])
    func add(_ value: Value) { kept.withLock { $0.append(value) } }
    var values: [Value] { kept.withLock { $0 } }
    func clear() { kept.withLock { $0 = [] } }
}

/// Opens once; tasks that wait go on then. No thread is blocked.
final class Gate: Sendable {
    private struct State {
        var missing: Int
        var waiters: [CheckedContinuation<Void, Never>] = []
    }
    private let state: Guarded<State>

    init(_ count: Int = 1) { state = Guarded(State(missing: count)) }

    func arrive() {
        let waiters = state.withLock { state in
            state.missing -= 1
            guard state.missing <= 0 else { return [CheckedContinuation<Void, Never>]() }
            defer { state.waiters = [] }
            return state.waiters
        }
        for waiter in waiters { waiter.resume() }
    }

    /// Returns when the gate is open, or when the test is cancelled: a time limit ends the wait.
    func wait() async {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isOpen = state.withLock { state in
                    if state.missing > 0 { state.waiters.append(continuation) }
                    return state.missing <= 0
                }
                if isOpen { continuation.resume() }
            }
        } onCancel: {
            open()
        }
    }

    private func open() {
        let waiters = state.withLock { state in
            state.missing = 0
            defer { state.waiters = [] }
            return state.waiters
        }
        for waiter in waiters { waiter.resume() }
    }
}

/// What the process has of descriptors and of threads named after reactors.
struct Belongings: Equatable, CustomStringConvertible {
    let descriptors: Set<String>
    let threads: [String]
    /// A reactor that is gone has left no timer and no connection.
    let reactorCount: Int

    static func now() -> Belongings {
        let files = SystemFiles()
        let threads = files.names(in: "/proc/self/task").compactMap { id -> String? in
            guard case .text(let name) = files.read("/proc/self/task/\(id)/comm") else { return nil }
            return name.hasPrefix("spindle-") ? name : nil
        }
        // The folder's own descriptor is among the names while it is read: what is gone does not count. Nor does
        // the timerfd that Swift's pool makes when something first sleeps; the engine has none.
        let open = files.names(in: "/proc/self/fd").filter { name in
            var target = [CChar](repeating: 0, count: 256)
            let length = unsafe readlink("/proc/self/fd/\(name)", &target, target.count)
            let bytes = target.prefix(max(length, 0)).map { UInt8(bitPattern: $0) }
            return length > 0 && !String(decoding: bytes, as: UTF8.self).contains("timerfd")
        }
        return Belongings(descriptors: Set(open), threads: threads.sorted(), reactorCount: Reactor.liveCount)
    }

    func exceeds(_ other: Belongings) -> Bool {
        !descriptors.isSubset(of: other.descriptors) || threads.count > other.threads.count
            || reactorCount > other.reactorCount
    }

    var description: String { "descriptors \(descriptors.sorted()), threads \(threads)" }
}

/// After the test there are no descriptors, reactor threads and connections that were not there before.
struct LeavesNothing: TestTrait, SuiteTrait, TestScoping {
    var isRecursive: Bool { true }

    func provideScope(
        for test: Test,
        testCase: Test.Case?,
        performing function: @concurrent @Sendable () async throws -> Void
    ) async throws {
        guard testCase != nil else { return try await function() }
        let before = Belongings.now()
        try await function()
        // A detached thread is still in /proc for a moment after it has said that it is done.
        var after = Belongings.now()
        var looks = 0
        while after.exceeds(before), looks < 100_000 {
            await Task.yield()
            after = Belongings.now()
            looks += 1
        }
        #expect(after.descriptors.subtracting(before.descriptors).isEmpty, "descriptors were left open")
        #expect(after.reactorCount <= before.reactorCount, "reactors, with timers and connections, were left")
        #expect(after.threads.count <= before.threads.count, "threads were left: \(after.threads)")
    }
}

extension Trait where Self == LeavesNothing {
    static var leavesNothing: LeavesNothing { LeavesNothing() }
}

func engine(
    reactors: Int,
    log: any LogSink = SilentLog(),
    _ change: (inout EngineConfiguration) -> Void = { _ in }
) throws -> Engine {
    var configuration = EngineConfiguration()
    configuration.placement.cores = .count(reactors)
    configuration.placement.oversubscribe = true
    configuration.limits.lingerTimeout = .milliseconds(200)
    change(&configuration)
    return try Engine(configuration, log: log)
}

final class Echo: StreamProtocol {
    let transport: any StreamTransport
    init(_ transport: any StreamTransport) { self.transport = transport }
    func dataReceived(_ bytes: Span<UInt8>) { transport.write(bytes) }
}

/// The client's end of a connection, on a reactor of its own engine; awaited from tests.
final class Client: Sendable {
    private let engine: Engine

    init() async throws {
        engine = try SpindleTests.engine(reactors: 1)
        try await engine.start()
    }

    func stop() async { await engine.stop(deadline: .seconds(1)) }

    /// What a conversation led to.
    struct Outcome: Sendable {
        var received: [UInt8] = []
        var reason: DisconnectReason?
        var local: SocketAddress?
        var error: ConnectError?
    }

    /// One conversation: a client that sends, half-closes if asked to, and collects until the end.
    final class Conversation: StreamProtocol {
        let transport: any StreamTransport
        private let bytes: [UInt8]
        private let halfClose: Bool
        private let made: @Sendable () -> Void
        private let done: @Sendable (Outcome) -> Void
        private var outcome = Outcome()

        init(
            _ transport: any StreamTransport,
            sending bytes: [UInt8],
            halfClose: Bool,
            made: @escaping @Sendable () -> Void,
            done: @escaping @Sendable (Outcome) -> Void
        ) {
            self.transport = transport
            self.bytes = bytes
            self.halfClose = halfClose
            self.made = made
            self.done = done
        }

        func connectionMade() {
            outcome.local = transport.localAddress
            transport.write(bytes)
            if halfClose { transport.loseWriteConnection() }
            made()
        }

        func dataReceived(_ bytes: Span<UInt8>) { for index in bytes.indices { outcome.received.append(bytes[index]) } }

        func connectionLost(_ reason: DisconnectReason) {
            outcome.reason = reason
            done(outcome)
        }
    }

    /// Sends `bytes`, half-closes, and returns everything that came back until the server closed.
    func exchange(_ bytes: [UInt8], with address: SocketAddress, halfClose: Bool = true) async -> Outcome {
        await open(address, sending: bytes, halfClose: halfClose).ended()
    }

    /// Opens a connection and returns once it stands or has failed.
    func open(_ address: SocketAddress, sending bytes: [UInt8] = [], halfClose: Bool = false) async -> Connection {
        let connection = Connection(engine.reactors[0])
        engine.reactors[0].submit { [weak connection] in
            guard let reactor = Reactor.current, let connection else { return }
            reactor.connect(to: address) { transport in
                Conversation(
                    transport,
                    sending: bytes,
                    halfClose: halfClose,
                    made: connection.made,
                    done: connection.done
                )
            } completion: { result in
                guard case .failure(let error) = result else { return }
                connection.made()
                connection.done(Outcome(error: error))
            }
        }
        await connection.madeGate.wait()
        return connection
    }

    final class Connection: Sendable {
        let madeGate = Gate()
        private let endedGate = Gate()
        private let outcome = Guarded(Outcome())
        private let handle: ReactorHandle

        init(_ handle: ReactorHandle) { self.handle = handle }

        var made: @Sendable () -> Void { { [madeGate] in madeGate.arrive() } }

        var done: @Sendable (Outcome) -> Void {
            { [self] result in
                outcome.withLock { $0 = result }
                endedGate.arrive()
            }
        }

        /// What the conversation led to, when it has ended.
        func ended() async -> Outcome {
            await endedGate.wait()
            return outcome.withLock { $0 }
        }

        /// Ends the writing side of every connection of the client's reactor: an echo server answers and closes.
        func finishWriting() {
            handle.submit { Reactor.current?.forEachConnection { $0.loseWriteConnection() } }
        }
    }
}
