// SPDX-License-Identifier: Apache-2.0

public import SpindleCore
public import SpindleReactor

/// Makes the protocol of a connection, on its reactor; nil refuses the connection.
public typealias ProtocolBuilder = @Sendable (any StreamTransport) throws -> (any StreamProtocol)?

/// Makes the protocol of a UDP socket, on its reactor.
public typealias DatagramBuilder = @Sendable (any DatagramTransport) throws -> any DatagramProtocol

/// Serves one connection by a task on its reactor, as `Engine.serve` takes it.
public typealias ConnectionHandler = nonisolated(nonsending) @Sendable (StreamConnection) async throws -> Void

/// What a package adds to programs that link it: names for its protocols, wrappers and endpoints.
///
///     public struct Chat: Plugin {
///         public init() {}
///         public func register(in registry: inout PluginRegistry) throws {
///             try registry.register(protocol: "chat", summary: "A room for everybody.") { arguments in
///                 let room = arguments.take("room") ?? "hall"
///                 return { ChatProtocol($0, room: room) }
///             }
///         }
///     }
public protocol Plugin: Sendable {
    /// Registers every name.
    func register(in registry: inout PluginRegistry) throws
}

/// What can be named in text: endpoints, wrappers around protocols, and protocols. A value; made once, at the start.
///
/// Swift links at compile time, and runs nothing of a package by itself: a program names the plugins that it links.
public struct PluginRegistry: Sendable {
    /// What something registered is.
    public enum Kind: String, Sendable, CaseIterable {
        /// Where to listen: `tcp`.
        case endpoint
        /// What stands before an endpoint and around the protocol: `proxy`.
        case wrapper
        /// What a server says: `echo`.
        case `protocol`
        /// What it says to datagrams; the name may be a protocol's of connections, too.
        case datagrams
        /// Where to connect: `tcp`.
        case target

        /// Kinds that stand in the same texts have no names in common.
        var namespace: Int {
            switch self {
            case .endpoint, .wrapper: 0
            case .protocol: 1
            case .target: 2
            case .datagrams: 3
            }
        }
    }

    /// Something registered, for help.
    public struct Entry: Sendable {
        /// What it is.
        public let kind: Kind
        /// How it is named.
        public let name: String
        /// One sentence, with the arguments that it takes.
        public let summary: String
    }

    /// Listens with an engine.
    public typealias Listen = @Sendable (Engine, @escaping ProtocolBuilder) throws -> Listener
    /// Listens for datagrams with an engine.
    public typealias ListenUDP = @Sendable (Engine, @escaping DatagramBuilder) throws -> Listener
    /// Stands between connections and what builds their protocols: may refuse them, count them, go around them.
    public typealias Filter = @Sendable (@escaping ProtocolBuilder) -> ProtocolBuilder
    /// Makes the wrapper of one connection.
    public typealias Wrap = @Sendable (any StreamTransport) throws -> any StreamWrapper
    /// Reads arguments and makes what they describe.
    public typealias Maker<Product> = @Sendable (inout PluginArguments) throws -> Product

    /// In the order of registration.
    public private(set) var entries: [Entry] = []
    private var endpoints: [String: Maker<Endpoint.Serve>] = [:]
    private var wrappers: [String: Maker<Endpoint.Step>] = [:]
    private var protocols: [String: Maker<ServedProtocol>] = [:]
    private var datagramProtocols: [String: Maker<DatagramBuilder>] = [:]
    private var targets: [String: Maker<ConnectRoute>] = [:]

    /// A registry with the engine's own endpoints and targets: `tcp`, `unix`, `udp`, `systemd`, `fd`.
    public init() {
        do {
            try register(endpoint: "tcp", summary: TCPEndpoint.summary, TCPEndpoint.make)
            try register(endpoint: "unix", summary: UnixEndpoint.summary, UnixEndpoint.make)
            try register(udpEndpoint: "udp", summary: UDPEndpoint.summary, UDPEndpoint.make)
            try add(Entry(kind: .endpoint, name: "systemd", summary: SystemdEndpoint.summary))
            endpoints["systemd"] = SystemdEndpoint.make
            try add(Entry(kind: .endpoint, name: "fd", summary: DescriptorEndpoint.summary))
            endpoints["fd"] = DescriptorEndpoint.make
            try register(target: "tcp", summary: TCPEndpoint.targetSummary, TCPEndpoint.makeRoute)
            try register(target: "unix", summary: UnixEndpoint.targetSummary, UnixEndpoint.makeRoute)
        } catch { preconditionFailure("the first name is taken: \(error)") }
    }

    /// Adds what a plugin registers; nothing of it when one of its names is refused.
    public mutating func add(_ plugin: some Plugin) throws {
        var copy = self
        try plugin.register(in: &copy)
        self = copy
    }

    /// Adds a kind of endpoint. `make` reads the arguments, without touching the system; what it returns listens.
    ///
    /// - Throws: `PluginError` when an endpoint or wrapper has the name, or it is none.
    public mutating func register(endpoint name: String, summary: String, _ make: @escaping Maker<Listen>) throws {
        try add(Entry(kind: .endpoint, name: name, summary: summary))
        endpoints[name] = { arguments in
            let listen = try make(&arguments)
            return { engine, served in try listen(engine, served.ofStreams(name)) }
        }
    }

    /// Adds a kind of endpoint for datagrams. `make` reads the arguments, without touching the system; what it returns
    /// listens.
    ///
    /// - Throws: `PluginError` when an endpoint or wrapper has the name, or it is none.
    public mutating func register(
        udpEndpoint name: String,
        summary: String,
        _ make: @escaping Maker<ListenUDP>
    ) throws {
        try add(Entry(kind: .endpoint, name: name, summary: summary))
        endpoints[name] = { arguments in
            let listen = try make(&arguments)
            return { engine, served in try listen(engine, served.ofDatagrams(name)) }
        }
    }

    /// Adds a wrapper: `name:tcp:port=80` puts it around the protocols of that endpoint.
    ///
    /// - Throws: `PluginError` when an endpoint or wrapper has the name, or it is none.
    public mutating func register(wrapper name: String, summary: String, _ make: @escaping Maker<Wrap>) throws {
        try register(filter: name, summary: summary, isWrapper: true) { arguments in
            let makeWrapper = try make(&arguments)
            return { build in
                { transport in
                    let wrapper = try makeWrapper(transport)
                    guard let inner = try build(wrapper) else { return nil }
                    wrapper.inner = inner
                    return wrapper
                }
            }
        }
    }

    /// Adds something that stands before protocols, as a wrapper does in text: `limit:connections=100:tcp:port=80`.
    ///
    /// - Parameters:
    ///   - name: How it is named.
    ///   - summary: How it is written, and what it does.
    ///   - isWrapper: It goes around connections, which those that are served by tasks can't have.
    ///   - make: Reads the arguments; called once for an endpoint, whose connections share what it makes.
    /// - Throws: `PluginError` when an endpoint or wrapper has the name, or it is none.
    public mutating func register(
        filter name: String,
        summary: String,
        isWrapper: Bool,
        _ make: @escaping Maker<Filter>
    ) throws {
        try add(Entry(kind: .wrapper, name: name, summary: summary))
        wrappers[name] = { Endpoint.Step(apply: try make(&$0), isWrapper: isWrapper) }
    }

    /// Adds a protocol of callbacks.
    ///
    /// - Throws: `PluginError` when a protocol has the name, or it is none.
    public mutating func register(
        protocol name: String,
        summary: String,
        _ make: @escaping Maker<ProtocolBuilder>
    ) throws {
        try add(Entry(kind: .protocol, name: name, summary: summary))
        protocols[name] = { arguments in ServedProtocol(name, streams: try make(&arguments)) }
    }

    /// Adds a protocol of datagrams, of one that may be there for connections by the same name and arguments.
    ///
    /// - Throws: `PluginError` when a protocol of datagrams has the name, or it is none.
    public mutating func register(
        datagrams name: String,
        summary: String,
        _ make: @escaping Maker<DatagramBuilder>
    ) throws {
        try add(Entry(kind: .datagrams, name: name, summary: summary))
        datagramProtocols[name] = make
    }

    /// Adds a protocol that is a task per connection. Wrappers go around callbacks only.
    ///
    /// - Throws: `PluginError` when a protocol has the name, or it is none.
    public mutating func register(
        handler name: String,
        summary: String,
        _ make: @escaping Maker<ConnectionHandler>
    ) throws {
        try add(Entry(kind: .protocol, name: name, summary: summary))
        protocols[name] = { arguments in
            let handler = try make(&arguments)
            var served = ServedProtocol(name, streams: { HandlerProtocol($0, handler) })
            served.isTask = true
            return served
        }
    }

    /// Adds a kind of place to connect to. `make` reads the arguments, without touching the system.
    ///
    /// - Throws: `PluginError` when a target has the name, or it is none.
    public mutating func register(
        target name: String,
        summary: String,
        _ make: @escaping Maker<ConnectRoute>
    ) throws {
        try add(Entry(kind: .target, name: name, summary: summary))
        targets[name] = make
    }

    private mutating func add(_ entry: Entry) throws(PluginError) {
        guard PluginText.isName(entry.name) else {
            throw PluginError("'\(entry.name)' is no name: a small letter, then small letters, digits and dashes")
        }
        // Endpoints and wrappers stand in the same text.
        let rivals = entries.filter { $0.kind.namespace == entry.kind.namespace && $0.name == entry.name }
        if let rival = rivals.first {
            throw PluginError(
                "two plugins want the name '\(entry.name)': there is \(rival.kind.rawValue) \(rival.name)"
            )
        }
        entries.append(entry)
    }

    /// The protocol that a text names: `chat`, `chat:room=hall`.
    ///
    /// - Throws: `PluginError`, or what the plugin throws about its arguments.
    public func makeProtocol(_ text: String) throws -> ServedProtocol {
        let parsed = try PluginText(parsing: text)
        guard parsed.parts.count == 1 else {
            throw PluginError("'\(text)': a protocol is one name with arguments, as chat:room=hall")
        }
        let part = parsed.parts[0]
        guard datagramProtocols[part.name] != nil else { return try make(part, protocols, .protocol) }
        let datagrams = try make(part, datagramProtocols, .datagrams)
        var served = protocols[part.name] == nil ? ServedProtocol(part.name) : try make(part, protocols, .protocol)
        served.datagrams = datagrams
        return served
    }

    /// The endpoint that a text names: `tcp:port=80`, `proxy:tcp:port=80`. Nothing listens yet.
    ///
    /// - Throws: `PluginError`, or what the plugin throws about its arguments.
    public func makeEndpoint(_ text: String) throws -> Endpoint {
        let parsed = try PluginText(parsing: text)
        let steps = try parsed.parts.dropLast().map { try make($0, wrappers, .wrapper) }
        let serve = try make(parsed.parts[parsed.parts.count - 1], endpoints, .endpoint)
        return Endpoint(text: parsed, steps: steps, serve: serve)
    }

    /// Where a text says to connect: `tcp:example.com:80`, `unix:/run/x.sock`.
    ///
    /// - Throws: `PluginError`, or what the plugin throws about its arguments.
    public func makeRoute(_ text: String) throws -> ConnectRoute {
        let parsed = try PluginText(parsing: text)
        guard parsed.parts.count == 1 else {
            let hint =
                parsed.parts[0].name == "tcp" ? "; a host of one word is written tcp:host=\(parsed.parts[1].name)" : ""
            throw PluginError("'\(text)': a target is one name with arguments, as tcp:example.com:80\(hint)")
        }
        return try make(parsed.parts[0], targets, .target)
    }

    private func make<Product>(
        _ part: PluginText.Part,
        _ makers: [String: Maker<Product>],
        _ kind: Kind
    ) throws -> Product {
        guard let maker = makers[part.name] else {
            guard kind != .wrapper || endpoints[part.name] == nil else {
                throw PluginError(
                    "\(part.name) is an endpoint, which stands last; an argument that looks like a name is written "
                        + "\(part.name):=argument"
                )
            }
            let ofKind = entries.filter { $0.kind == kind }
            // The summary of an endpoint or target is how it is written.
            let there = ofKind.map { kind == .endpoint || kind == .target ? $0.summary : $0.name }.joined(
                separator: ", "
            )
            throw PluginError(
                "there is no \(kind.rawValue) '\(part.name)'; linked \(there.isEmpty ? "is none" : "are: \(there)")"
                    + NearName.hint(part.name, among: ofKind.map(\.name))
            )
        }
        var arguments = PluginArguments(part)
        let product = try maker(&arguments)
        try arguments.finish()
        return product
    }
}
