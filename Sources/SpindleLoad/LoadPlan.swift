// SPDX-License-Identifier: Apache-2.0

public import Spindle

/// What a load generator does, in a closed or an open loop.
public struct LoadPlan: Sendable {
    /// The kinds of load.
    public enum Work: Sendable {
        /// Messages over connections that stay.
        case echo
        /// A connection for each message.
        case connect
        /// Datagrams from peers that stay, each a UDP socket; those that don't come back are counted.
        case datagrams
    }

    /// What it does.
    public var work: Work
    /// The echo server.
    public var address: SocketAddress
    /// Connections over all reactors of the generator, at least 1.
    public var connections: Int
    /// The number of the first of them: other generators that drive the same server have those before.
    public var firstConnection = 0
    /// Bytes of a message, each at least 1; of a datagram 8 to 65,507.
    public var sizes: MessageSizes
    /// Messages on the way per connection, at least 1. In an open loop the most: what is due beyond it waits, and its
    /// latency counts.
    public var depth: Int
    /// When messages are sent.
    public var pace: Pace
    /// Connections a second that are opened beside the work, for one message each: an open loop of their own. Nil:
    /// none.
    public var churn: Double?
    /// Every connection sends a message and gets it back before anything else: so that the memory of each is that of
    /// one that has been used. Only then the server's memory is told by connection.
    public var greets = false
    /// How long to measure.
    public var duration: Duration
    /// How long to run before that.
    public var warmup: Duration

    /// A plan; nothing is checked here.
    public init(
        work: Work = .echo,
        address: SocketAddress,
        connections: Int,
        sizes: MessageSizes,
        depth: Int,
        pace: Pace = .closed,
        churn: Double? = nil,
        duration: Duration,
        warmup: Duration
    ) {
        self.work = work
        self.address = address
        self.connections = connections
        self.sizes = sizes
        self.depth = depth
        self.pace = pace
        self.churn = churn
        self.duration = duration
        self.warmup = warmup
    }

    /// How long nothing may come back while something is on the way at the end.
    static let patience = Duration.seconds(5)

    /// Connections that come and go at once per reactor of the generator; what is due beyond them waits, and its
    /// latency counts.
    public static let churnPlaces = 64

    /// Bytes of a datagram.
    public static let datagramBytes = DatagramWindow.headerBytes...65_507

    /// The most connections of a load, over all of its generators.
    public static let mostConnections = 1_000_000

    /// What comes and goes beside the work of this plan; nil when nothing does.
    func churnPlan(generatorReactors: Int) -> LoadPlan? {
        guard let churn else { return nil }
        var plan = self
        plan.work = .connect
        plan.depth = 1
        plan.connections = LoadPlan.churnPlaces * generatorReactors
        plan.pace = .open(messagesPerSecond: churn)
        plan.churn = nil
        plan.greets = false
        // Behind all that stay, whoever has them.
        plan.firstConnection += LoadPlan.mostConnections
        return plan
    }

    /// Connections of one source address: below the 28,000 ephemeral ports that it has towards one destination.
    static let connectionsPerSource = 20_000

    /// The connections of one of so many reactors: stretches that differ by at most 1 in length.
    func numbers(part: Int, of parts: Int) -> Range<Int> {
        firstConnection + connections * part / parts..<firstConnection + connections * (part + 1) / parts
    }

    /// What the server's process grew by for each connection; nil when that is not known, or connections need not have
    /// been used.
    public func bytesPerConnection(from before: ServerUsage?, to after: ServerUsage?) -> Double? {
        guard greets, let before = before?.residentBytes, let after = after?.residentBytes else { return nil }
        return Double(after - before) / Double(connections)
    }

    /// Bytes that a connection has on the way at most.
    public var bytesOnTheWay: Int { depth * sizes.largest }

    /// True for 127.0.0.0/8.
    var isLoopback: Bool {
        guard case .ipv4(let target, _) = address else { return false }
        return target >> 24 == 127
    }

    /// Where the connection with this number comes from; nil for the kernel's choice. Loopback has 16 million
    /// addresses, so connections beyond what one of them has ports for come from others.
    func source(of number: Int) -> SocketAddress? {
        guard isLoopback, number >= LoadPlan.connectionsPerSource else { return nil }
        let host = number / LoadPlan.connectionsPerSource % 250
        return .ipv4(0x7f00_0001 + UInt32(host), port: 0)
    }
}
