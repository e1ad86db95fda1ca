// SPDX-License-Identifier: Apache-2.0

public import SpindleCore
public import SpindleReactor

/// What engines offer on top of reactors, for simulated ones.
extension SimulatedScheduler {
    /// Listens at `address` and serves each connection by a task of its own, as `Engine.serve` does.
    ///
    /// - Returns: The address, with the port that was chosen for port 0.
    /// - Throws: EADDRINUSE, or EMFILE over the network's descriptor limit.
    @discardableResult
    public func serve(
        at address: SocketAddress,
        _ handler: @escaping StreamConnection.Handler
    ) throws(Errno) -> SocketAddress {
        try listen(at: address) { _ in ClosureFactory { HandlerProtocol($0, handler) } }
    }

    /// Has an instance of a service on every reactor, made now, in the order of the reactors.
    public func makeSharded<Service: AnyObject>(
        _ make: @escaping @Sendable (Reactor) throws -> Service
    ) throws -> Sharded<Service> {
        let handles = reactors.map(\.handle)
        let sharded = Sharded<Service>(shardCount: reactors.count, handles: { handles }, make: make)
        for index in reactors.indices { try perform(on: index) { try sharded.make(on: $0) } }
        return sharded
    }

    /// Ends the tasks of connections that are still there, and gives up what reactors have left; reports what was sent
    /// to them and not handled. The last step: the reactors can't be used afterwards.
    public func stop() {
        for reactor in reactors {
            reactor.finishHandlers(within: .seconds(1))
            reactor.tearDown()
            reactor.handle.markStopped()
        }
        mailroom.discardUndelivered()
    }
}
