// SPDX-License-Identifier: Apache-2.0

public import SpindleCore
public import SpindleReactor
public import SpindleSimulation

/// Two protocols joined back to back, over a network that the test makes as bad as it likes.
///
/// Each end lives on a reactor of its own; both run turn by turn in the calls of the test. Whatever is random comes
/// from the seed, so a run that failed can be had again.
///
///     let pair = try ProtocolPair(seed: seed, faults: FaultPlan(seed: seed)) { Client($0) } server: { Server($0) }
///     #expect(pair.run { client.isDone } == .fulfilled)
public final class ProtocolPair {
    /// The network between them: time, faults.
    public let network: SimulatedNetwork
    private let scheduler: SimulatedScheduler

    /// A pair whose client has begun to connect.
    ///
    /// - Parameters:
    ///   - seed: What order of turns, cuts and delays are drawn from.
    ///   - faults: How the network cuts, delays and breaks; nothing by default.
    ///   - buffers: Sizes of the simulated kernel's buffers; small ones cut more.
    ///   - configuration: The limits of both reactors.
    ///   - log: Where the reactors' log goes.
    ///   - client: Makes the protocol of the end that connects.
    ///   - server: Makes the protocol of the end that accepts.
    ///   - failed: Told when no connection came to be.
    public init(
        seed: UInt64 = 0,
        faults: FaultPlan = .none,
        buffers: SimulatedNetwork.Configuration = SimulatedNetwork.Configuration(),
        configuration: ReactorConfiguration = ReactorConfiguration(),
        log: any LogSink = SilentLog(),
        client: @escaping (any StreamTransport) throws -> (any StreamProtocol)?,
        server: @escaping (any StreamTransport) throws -> (any StreamProtocol)?,
        failed: @escaping (ConnectError) -> Void = { _ in }
    ) throws {
        network = SimulatedNetwork(seed: seed, configuration: buffers)
        network.faults = faults
        scheduler = SimulatedScheduler(
            reactorCount: 2,
            network: network,
            configuration: configuration,
            seed: seed,
            log: log
        )
        let address = SocketAddress.loopback(port: 1)
        try scheduler.listen(at: address, on: [1]) { _ in ClosureFactory(server) }
        scheduler.perform(on: 0) { reactor in
            reactor.connect(to: address, client) { if case .failure(let error) = $0 { failed(error) } }
        }
    }

    /// The reactor of the end that connects.
    public var clientReactor: Reactor { scheduler.reactors[0] }
    /// The reactor of the end that accepts.
    public var serverReactor: Reactor { scheduler.reactors[1] }

    /// Lets both go on, and time pass, until the condition holds or nothing is left that could happen.
    ///
    /// - Parameters:
    ///   - maximumTurns: Turns of both together that may be taken.
    ///   - condition: Asked before every turn.
    @discardableResult
    public func run(
        maximumTurns: Int = 1_000_000,
        until condition: () -> Bool = { false }
    ) -> SimulatedScheduler.Outcome {
        scheduler.run(maximumTurns: maximumTurns, until: condition)
    }

    /// Ends both connections, as a stop of their engines does.
    public func end() {
        scheduler.endAllConnections()
        scheduler.stopListening()
        scheduler.run()
    }
}
