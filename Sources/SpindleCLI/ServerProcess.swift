// SPDX-License-Identifier: Apache-2.0

import Spindle
import SpindleLoad
import SpindleSystem
import SpindleTopology
import Subprocess

/// A server that runs as a child of this process for as long as it is measured.
struct ServerProcess: Sendable {
    /// Its number: the shell and taskset(1) that start it become it (exec).
    let process: Int
    let address: SocketAddress

    /// How long it may take until it can be connected to, and to end when it is asked to.
    static let startLimit = Duration.seconds(30), stopLimit = Duration.seconds(5)

    enum Failure: Error, CustomStringConvertible {
        case cannotStart(String, reason: String)
        case endedEarly(String)
        case doesNotListen(String, SocketAddress)

        var description: String {
            switch self {
            case .cannotStart(let command, let reason): "cannot run '\(command)': \(reason)"
            case .endedEarly(let command): "'\(command)' ended before it could be connected to; what it said is above"
            case .doesNotListen(let command, let address):
                "'\(command)' cannot be connected to at \(address) after 30 s; does it listen at {port}?"
            }
        }
    }

    /// Starts the command on `cpus`, runs `body` once it can be connected to, and ends it with all that it started.
    ///
    /// What it prints goes to standard error. It has a process group of its own, so that Ctrl-C ends the measuring and
    /// not the server under it.
    ///
    /// - Parameters:
    ///   - isUDP: It is an echo server of datagrams.
    ///   - generator: Running; one of its reactors tries to connect.
    ///   - control: Is told of the child.
    static func running<Output: Sendable>(
        _ command: ServerCommandLine,
        on cpus: CPUSet,
        cores: Int,
        isUDP: Bool = false,
        tryingFrom generator: Engine,
        control: RunControl,
        _ body: (ServerProcess) async throws -> Output
    ) async throws -> Output {
        let address = try freeAddress()
        let text = command.filled(port: address.port, cores: cores)
        var platform = PlatformOptions()
        platform.processGroupID = 0
        let configuration = Configuration(
            executable: .name("taskset"),
            arguments: ["-c", "\(cpus)", "/bin/sh", "-c", "exec \(text)"],
            platformOptions: platform
        )
        let outcome: Result<Output, any Error>
        do {
            outcome = try await Subprocess.run(
                configuration,
                input: .none,
                output: .currentStandardError,
                error: .currentStandardError
            ) { execution in
                let server = ServerProcess(process: Int(execution.processIdentifier.value), address: address)
                control.childStarted(server.process)
                let outcome: Result<Output, any Error>
                do {
                    try await server.waitUntilListening(text, isUDP: isUDP, tryingFrom: generator, control)
                    outcome = .success(try await body(server))
                } catch { outcome = .failure(error) }
                await execution.teardown(using: [
                    .gracefulShutDown(toProcessGroup: true, allowedDurationToNextStep: stopLimit)
                ])
                control.childEnded(server.process)
                return outcome
            }.closureResult
        } catch {
            throw Failure.cannotStart(text, reason: "\(error)")
        }
        return try outcome.get()
    }

    private func waitUntilListening(
        _ text: String,
        isUDP: Bool,
        tryingFrom generator: Engine,
        _ control: RunControl
    ) async throws {
        let end = ContinuousClock.now + ServerProcess.startLimit
        while ContinuousClock.now < end {
            if await isUDP ? generator.isAnswered(at: address) : generator.canConnect(to: address) { return }
            if hasEnded { throw Failure.endedEarly(text) }
            if control.isEnding { throw LoadFailure.interrupted }
            try await ContinuousClock().sleep(for: .milliseconds(20))
        }
        throw Failure.doesNotListen(text, address)
    }

    /// A zombie, or gone. proc(5): the state stands behind the name, which may hold anything.
    private var hasEnded: Bool {
        guard case .text(let stat) = SystemFiles().read("/proc/\(process)/stat"), let name = stat.lastIndex(of: ")")
        else { return true }
        return stat[stat.index(after: name)...].drop { $0 == " " }.first.map { "ZX".contains($0) } ?? true
    }

    /// A port of 127.0.0.1 where nobody listens now.
    private static func freeAddress() throws -> SocketAddress {
        let probe = try StreamSocket.open(for: .loopback(port: 0))
        defer { probe.close() }
        try probe.bind(to: .loopback(port: 0))
        return try probe.localAddress()
    }
}

/// Connects, and that is all.
private final class Knock: StreamProtocol {
    let transport: any StreamTransport
    init(_ transport: any StreamTransport) { self.transport = transport }
    func connectionMade() { transport.abortConnection() }
    func dataReceived(_ bytes: Span<UInt8>) {}
}

/// Sends a datagram, and waits a moment for it to come back.
private final class Ping: DatagramProtocol {
    let transport: any DatagramTransport
    private var done: ((Bool) -> Void)?

    init(_ transport: any DatagramTransport, _ done: @escaping (Bool) -> Void) {
        self.transport = transport
        self.done = done
    }

    func startProtocol() {
        transport.send("ping")
        Reactor.current?.callLater(.milliseconds(50)) { [self] in transport.close() }
    }
    func datagramReceived(_ bytes: Span<UInt8>, from origin: DatagramOrigin) {
        done.take()?(true)
        transport.close()
    }
    func connectionRefused() { transport.close() }
    func stopProtocol() { done.take()?(false) }
}

extension Engine {
    /// Whether somebody answers datagrams at the address now.
    fileprivate func isAnswered(at address: SocketAddress) async -> Bool {
        await withCheckedContinuation { continuation in
            let taken = reactors[0].submit {
                do {
                    guard let reactor = Reactor.current else { return continuation.resume(returning: false) }
                    try reactor.openUDP(connectedTo: address) { Ping($0) { continuation.resume(returning: $0) } }
                } catch { continuation.resume(returning: false) }
            }
            if taken != .sent { continuation.resume(returning: false) }
        }
    }

    /// Whether somebody accepts connections at the address now.
    fileprivate func canConnect(to address: SocketAddress) async -> Bool {
        await withCheckedContinuation { continuation in
            let taken = reactors[0].submit {
                guard let reactor = Reactor.current else { return continuation.resume(returning: false) }
                reactor.connect(to: address) {
                    Knock($0)
                } completion: { result in
                    if case .success = result {
                        continuation.resume(returning: true)
                    } else {
                        continuation.resume(returning: false)
                    }
                }
            }
            if taken != .sent { continuation.resume(returning: false) }
        }
    }
}
