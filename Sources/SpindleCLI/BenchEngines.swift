// SPDX-License-Identifier: Apache-2.0

import Spindle
import SpindleLoad
import SpindleTopology

/// A load generator and, when it runs in this process, the echo server that it drives, on CPUs of their own.
struct BenchEngines {
    /// Nil when the server runs in another process.
    let server: Engine?
    let generator: Engine
    private let isUDP: Bool

    /// Makes them; nothing runs yet.
    ///
    /// - Parameters:
    ///   - configuration: The server's.
    ///   - sides: Where both run.
    ///   - hasServer: False when another process is measured.
    ///   - mayPoll: In an open loop: sending on time takes a core of its own, unless a quota has to last for the
    ///     server, too.
    ///   - isUDP: The server is one of datagrams.
    ///   - bytesOnTheWay: The most that a connection of the generator may have to write.
    init(
        _ configuration: EngineConfiguration,
        _ sides: BenchSides,
        on machine: MachineTopology,
        hasServer: Bool,
        mayPoll: Bool,
        isUDP: Bool = false,
        bytesOnTheWay: Int = 0
    ) throws {
        let log = SwiftLogSink.standard
        self.isUDP = isUDP
        server =
            hasServer ? try Engine(configuration, log: log, machine: machine, placement: sides.server) : nil
        var generatorConfiguration = EngineConfiguration()
        generatorConfiguration.limits.lingerTimeout = .milliseconds(100)
        generatorConfiguration.placement.pollMode =
            mayPoll && !sides.sharesCores && machine.effectiveQuotaCPUs == nil
        let limit = max(generatorConfiguration.limits.writeLimitBytes, 2 * bytesOnTheWay)
        generatorConfiguration.limits.writeLimitBytes = limit
        generatorConfiguration.limits.reactorWriteLimitBytes =
            max(generatorConfiguration.limits.reactorWriteLimitBytes, limit << 6)
        generator = try Engine(generatorConfiguration, log: log, machine: machine, placement: sides.generator)
    }

    /// Starts both.
    ///
    /// - Returns: The server's address, when it is ours.
    func start() async throws -> SocketAddress? {
        let address =
            isUDP
            ? try server?.listenUDP(on: .loopback(port: 0)) { DatagramEcho($0) }.address
            : try server?.listen(on: .loopback(port: 0)) { EchoProtocol($0) }.address
        try await server?.start()
        try await generator.start()
        return address
    }

    func stop() async {
        await generator.stop(deadline: .seconds(2))
        await server?.stop(deadline: .seconds(2))
    }
}
