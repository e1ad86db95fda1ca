// SPDX-License-Identifier: Apache-2.0

public import SpindleCore
internal import SpindleReactor

/// One port that an engine listens on, with all of its reactors. From any thread.
public final class Listener: Sendable {
    /// The addresses, with the ports that the kernel chose where 0 was asked for.
    public let addresses: [SocketAddress]
    let ids: [Int]
    private let engine: Engine

    init(addresses: [SocketAddress], ids: [Int], engine: Engine) {
        self.addresses = addresses
        self.ids = ids
        self.engine = engine
    }

    /// The first address.
    public var address: SocketAddress { addresses[0] }

    /// Stops accepting on every reactor; live connections go on. Returns when the sockets are closed.
    public func stopListening() async {
        engine.forget(listeners: ids)
        await engine.onEveryReactor { [ids] reactor in ids.forEach { reactor.stopListening($0) } }
    }
}

/// A listening socket for each reactor, of one address.
struct SocketGroup: Sendable {
    /// By reactor.
    let sockets: [TravellingSocket]
    /// One, or of adopted sockets each one's.
    let addresses: [SocketAddress]
    var address: SocketAddress { addresses[0] }
    /// They are several numbers of one socket.
    let isShared: Bool
    /// Kept while anybody accepts there.
    let keeper: (any AnyObject & Sendable)?

    /// Nobody will accept from it.
    func close() { sockets.forEach { $0.close() } }
}

/// Sockets that are bound and not yet given to their reactors.
struct PendingListener: Sendable {
    let id: Int
    let group: SocketGroup
    let service: ListenerService

    /// Nobody will accept from it.
    func close() { group.close() }
}

/// What is done with what comes to a listener.
enum ListenerService: Sendable {
    case streams(StreamService)
    case datagrams(DatagramService)

    static func datagrams(_ options: DatagramOptions, _ build: @escaping DatagramService.Build) -> ListenerService {
        .datagrams(DatagramService(options: options, build: build))
    }
}

/// Connections have protocols of a factory.
struct StreamService: Sendable {
    /// The same number for listeners that share one factory object per reactor.
    let factoryGroup: Int
    let makeFactory: @Sendable () -> any StreamProtocolFactory
}

/// Each socket has a protocol.
struct DatagramService: Sendable {
    typealias Build = @Sendable (any DatagramTransport) throws -> any DatagramProtocol
    let options: DatagramOptions
    let build: Build
}
