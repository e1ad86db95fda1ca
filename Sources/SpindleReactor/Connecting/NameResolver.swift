// SPDX-License-Identifier: Apache-2.0

public import SpindleCore
internal import SpindleSystem

/// Finds the addresses of a name without keeping a reactor waiting. One serves all reactors of an engine.
public protocol NameResolver: Sendable {
    /// Looks up `host`.
    ///
    /// - Parameters:
    ///   - host: A name; numeric addresses don't come here.
    ///   - port: Goes into the addresses.
    ///   - completion: To be called once on the calling reactor, now or in a later turn: at least one address, the most
    ///     promising first; or a `ResolveError`.
    func resolve(
        _ host: String,
        port: UInt16,
        completion: @escaping (Result<[SocketAddress], ResolveError>) -> Void
    )
}

/// A name has no address, or nobody could say.
public struct ResolveError: Error, Equatable, CustomStringConvertible {
    /// What was looked up.
    public let host: String
    /// The resolver's reason, as text.
    public let reason: String
    /// Another try may succeed: no name server has answered, or too much waits.
    public let isTemporary: Bool

    /// For resolvers of your own.
    public init(host: String, reason: String, isTemporary: Bool) {
        self.host = host
        self.reason = reason
        self.isTemporary = isTemporary
    }

    /// One sentence.
    public var description: String { "the name \(host) can't be looked up: \(reason)" }
}

/// The system's resolver, getaddrinfo(3), on a pool of threads: hosts(5), DNS, whatever nsswitch.conf(5) names.
///
/// It sorts addresses by RFC 6724, keeps nothing, and can't be interrupted: a look-up that nobody waits for any more
/// keeps its thread until the system gives up. Many names at once need as many threads (`--blocking-threads`).
public struct SystemResolver: NameResolver {
    private let pool: BlockingPool

    /// A resolver on this pool: `Engine.blockingPool`.
    public init(_ pool: BlockingPool) { self.pool = pool }

    /// getaddrinfo(3), on the pool.
    public func resolve(
        _ host: String,
        port: UInt16,
        completion: @escaping (Result<[SocketAddress], ResolveError>) -> Void
    ) {
        pool.deferToThread {
            try HostLookup.addresses(of: host, port: port)
        } completion: { result in
            completion(
                result.mapError { error in
                    if let failure = error as? HostLookup.Failure {
                        return ResolveError(host: host, reason: failure.reason, isTemporary: failure.isTemporary)
                    }
                    return ResolveError(host: host, reason: "\(error)", isTemporary: true)
                }
            )
        }
    }
}

/// For reactors without an engine: says that there is none.
struct NoResolver: NameResolver {
    func resolve(
        _ host: String,
        port: UInt16,
        completion: @escaping (Result<[SocketAddress], ResolveError>) -> Void
    ) {
        completion(.failure(ResolveError(host: host, reason: "this reactor has no resolver", isTemporary: false)))
    }
}
