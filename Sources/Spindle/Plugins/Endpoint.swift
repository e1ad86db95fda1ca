// SPDX-License-Identifier: Apache-2.0

internal import SpindleSystem

/// A protocol that a text named, with its arguments.
public struct ServedProtocol: Sendable {
    let name: String
    /// Nil for one that has datagrams only.
    var streams: ProtocolBuilder?
    /// Nil for one that has connections only.
    var datagrams: DatagramBuilder?
    /// Connections are served by a task each.
    var isTask = false
    /// Something stands between the connections and their protocols.
    var isFiltered = false

    init(_ name: String, streams: ProtocolBuilder? = nil) {
        self.name = name
        self.streams = streams
    }

    /// What an endpoint of connections serves.
    func ofStreams(_ endpoint: String) throws(PluginError) -> ProtocolBuilder {
        guard let streams else { throw PluginError("\(endpoint): '\(name)' is a protocol of datagrams: udp:port=PORT") }
        return streams
    }

    /// What an endpoint of datagrams serves.
    func ofDatagrams(_ endpoint: String) throws(PluginError) -> DatagramBuilder {
        guard let datagrams else { throw PluginError("\(endpoint): '\(name)' is no protocol of datagrams") }
        guard !isFiltered else { throw PluginError("\(endpoint): what stands before it is for connections") }
        return datagrams
    }
}

/// Where a text says to listen.
public struct Endpoint: Sendable {
    /// The text, taken apart.
    public let text: PluginText
    let steps: [Step]
    let serve: Serve

    /// Listens with an engine, for connections or datagrams.
    typealias Serve = @Sendable (Engine, ServedProtocol) throws -> Listener

    /// What stands between the connections and their protocols.
    struct Step: Sendable {
        let apply: PluginRegistry.Filter
        /// It goes around connections.
        let isWrapper: Bool
    }

    /// Listens with every reactor of `engine`.
    ///
    /// - Throws: `ListenError` and `DatagramError` when the address can't be had, `AdoptError` and `PassedSocketError`
    ///   when a socket can't, `PluginError` when wrappers were to go around a task, or the endpoint is for datagrams
    ///   and the protocol is not.
    @discardableResult
    public func listen(with engine: Engine, _ served: ServedProtocol) throws -> Listener {
        guard !served.isTask || !steps.contains(where: \.isWrapper) else {
            throw PluginError("'\(text)': wrappers go around protocols of callbacks, and this one is a task")
        }
        var served = served
        // The leftmost is the nearest to the protocol.
        served.streams = served.streams.map { steps.reduce($0) { $1.apply($0) } }
        served.isFiltered = !steps.isEmpty
        return try serve(engine, served)
    }
}

extension Engine {
    /// Serves sockets that somebody else has made, of connections or of datagrams.
    func serve(adopting descriptors: [Int32], _ served: ServedProtocol, _ endpoint: String) throws -> Listener {
        let kinds = Set(descriptors.map { AdoptedSocket.isDatagram($0) })
        guard kinds.count == 1 else {
            throw PluginError(
                "\(endpoint): some of the sockets are for connections and some for datagrams: name them apart"
            )
        }
        return kinds == [true]
            ? try listenUDP(adopting: descriptors, served.ofDatagrams(endpoint))
            : try listen(adopting: descriptors, served.ofStreams(endpoint))
    }
}
