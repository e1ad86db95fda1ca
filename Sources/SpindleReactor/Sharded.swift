// SPDX-License-Identifier: Apache-2.0

internal import Synchronization

/// A service with an instance per reactor, each made, used and destroyed on its own: state that needs no lock.
///
/// Made by `Engine.makeSharded`. Data is spread over the instances by key (`shard(for:)`), or every core has all of
/// it. The instances are no Sendable objects and never leave their reactors; what crosses is the work.
///
///     let store = engine.makeSharded { _ in Store() }
///     try engine.serve(on: .any(port: 7000)) { connection in
///         …
///         let value = try await store.invoke(on: store.shard(for: key)) { $0[key] }
///
/// Work for one instance runs in the order in which one thread or reactor gave it; between those there is no order.
public final class Sharded<Service: AnyObject>: Sendable {
    /// Work for an instance, isolated to its reactor.
    public typealias Work<Result> = nonisolated(nonsending) @Sendable (Service) async throws -> Result

    package let id: ServiceID
    private let currentHandles: @Sendable () -> [ReactorHandle]
    private let makeInstance: @Sendable (Reactor) throws -> Service
    /// How many instances there are: one per reactor.
    public let shardCount: Int

    /// - Parameters:
    ///   - shardCount: The number of reactors.
    ///   - handles: The reactors as they are at the time of the call; none when there are none any more.
    ///   - make: Makes an instance, on its reactor.
    package init(
        shardCount: Int,
        handles: @escaping @Sendable () -> [ReactorHandle],
        make: @escaping @Sendable (Reactor) throws -> Service
    ) {
        id = ServiceID()
        self.shardCount = shardCount
        currentHandles = handles
        makeInstance = make
    }

    /// Makes the instance of the calling reactor, if there is none.
    package func make(on reactor: Reactor) throws {
        if reactor.service(id) == nil { reactor.addService(try makeInstance(reactor), id) }
    }

    /// The instance of the calling reactor. On an engine that ran already when the service was made, work may come
    /// before the order to make one.
    private func instance(on reactor: Reactor) -> AnyObject? {
        if let service = reactor.service(id) { return service }
        guard reactor.index < shardCount, handle(of: reactor.index) === reactor.handle else { return nil }
        try? make(on: reactor)
        return reactor.service(id)
    }

    // MARK: The own instance

    /// The calling reactor's own instance. No hop, no allocation: a look at a short list.
    ///
    /// - Throws: `ShardUnavailable` on a thread that is no reactor of the engine, and before the instance was made.
    public var local: Service {
        get throws(ShardUnavailable) {
            guard let reactor = Reactor.current, let service = instance(on: reactor) else {
                throw ShardUnavailable(shard: Reactor.current?.index)
            }
            return unsafe unsafeDowncast(service, to: Service.self)
        }
    }

    /// The calling reactor's instance when it was made; never makes one.
    package var localIfMade: Service? {
        Reactor.current?.service(id).map { unsafe unsafeDowncast($0, to: Service.self) }
    }

    // MARK: One of them

    /// The instance that has `key`: the same in every run with as many reactors.
    public func shard(for key: some ShardKey) -> Int { key.shard(of: shardCount) }

    /// Calls `body` with the instance of `shard` on its reactor, in a later turn. From any thread. An error that it
    /// throws is logged there.
    ///
    /// - Parameters:
    ///   - shard: 0..<`shardCount`.
    ///   - body: Runs with the instance.
    @discardableResult
    public func submit(to shard: Int, _ body: @escaping @Sendable (Service) throws -> Void) -> SubmitResult {
        handle(of: shard)?.submit { [self] in try body(local) } ?? .stopped
    }

    /// Runs `work` with the instance of `shard` on its reactor, and returns with the result. From anywhere.
    ///
    /// From that reactor itself it is a call: nothing is enqueued.
    ///
    /// - Parameters:
    ///   - shard: 0..<`shardCount`.
    ///   - work: Runs with the instance, isolated to its reactor.
    /// - Throws: What `work` throws; `ShardUnavailable` when the instance is not there, the engine stopped say.
    public nonisolated(nonsending) func invoke<Result: Sendable>(
        on shard: Int,
        _ work: Work<Result>
    ) async throws -> Result {
        // Isolated to that reactor, and not only on its thread: the work would leave it at its first await.
        let isolation: (any Actor)? = #isolation
        if let reactor = Reactor.current, reactor.index == shard, reactor.service(id) != nil,
            isolation === reactor.handle
        {
            return try await work(local)
        }
        guard let handle = handle(of: shard) else { throw ShardUnavailable(shard: shard) }
        return try await handle.execute { _ in try await work(self.local) }
    }

    // MARK: All of them

    /// Runs `work` with every instance, each on its reactor, all at once; returns when all have.
    ///
    /// - Throws: The first error, when all have ended; the others are not cancelled.
    public func invokeOnAll(_ work: @escaping Work<Void>) async throws {
        try await mapReduce(into: ()) {
            try await work($0)
        } _: { _, _ in
        }
    }

    /// Asks every instance on its reactor, all at once, and combines the answers in the order of the shards.
    ///
    /// - Parameters:
    ///   - initial: What the first answer is combined with.
    ///   - work: Runs with each instance.
    ///   - combine: Runs where the caller does, when all have answered.
    /// - Throws: The first error, in the order of shards.
    public func mapReduce<Answer: Sendable, Result>(
        into initial: Result,
        _ work: @escaping Work<Answer>,
        _ combine: (inout Result, Answer) throws -> Void
    ) async throws -> Result {
        let answers = await withTaskGroup(of: (Int, Swift.Result<Answer, any Error>).self) { group in
            for shard in 0..<shardCount {
                group.addTask {
                    do { return (shard, .success(try await self.invoke(on: shard, work))) } catch {
                        return (shard, .failure(error))
                    }
                }
            }
            return await group.reduce(into: []) { $0.append($1) }
        }
        var result = initial
        for answer in answers.sorted(by: { $0.0 < $1.0 }) { try combine(&result, answer.1.get()) }
        return result
    }

    /// Nil when there is none, or the engine is gone.
    private func handle(of shard: Int) -> ReactorHandle? {
        let handles = currentHandles()
        return handles.indices.contains(shard) ? handles[shard] : nil
    }
}

/// A sharded service has no instance here.
public struct ShardUnavailable: Error, Equatable, CustomStringConvertible {
    /// The reactor that was asked, or nil for a thread that is none.
    public let shard: Int?

    /// None on this reactor, or on no reactor.
    public init(shard: Int?) { self.shard = shard }

    /// One line for a log.
    public var description: String {
        shard.map { "the service has no instance on reactor \($0): the engine stops, or there is no such reactor" }
            ?? "no reactor runs on this thread: use `invoke` or `submit`, or look whether the engine has stopped"
    }
}

/// Names a sharded service of the process.
package struct ServiceID: Hashable, Sendable {
    private static let last = Atomic<Int>(0)
    private let number = ServiceID.last.add(1, ordering: .relaxed).newValue
}

/// The instances of sharded services on one reactor, in the order in which they were made.
extension Reactor {
    /// Few, so looked for one after the other.
    package func service(_ id: ServiceID) -> AnyObject? {
        for (index, known) in serviceIDs.enumerated() where known == id { return services[index] }
        return nil
    }

    func addService(_ service: AnyObject, _ id: ServiceID) {
        preconditionCurrent()
        serviceIDs.append(id)
        services.append(service)
    }

    /// Destroys the instances, the last one first.
    func removeServices() {
        while let last = services.popLast() {
            serviceIDs.removeLast()
            withExtendedLifetime(last) {}
        }
    }
}
