// SPDX-License-Identifier: Apache-2.0

import SpindleLoad

/// A kind of benchmark: what it does and what it does unless told otherwise.
struct BenchKind: Sendable {
    let name: String
    let work: LoadPlan.Work
    /// As in `--size`.
    let size: String
    /// Messages on the way per connection in a closed loop.
    let depth: Int
    /// Connections for each reactor of the server.
    let connectionsPerReactor: Int
    /// What one of the things that are counted is called.
    let unit: String
    /// Messages a second and connection of an open loop, unless --rate says more; nil: a closed loop.
    var trickle: Double?
    /// Connections a second that come and go beside it, unless --churn-rate says otherwise; nil: none.
    var churn: Double?

    var isUDP: Bool { work == .datagrams }

    /// The most messages on the way per connection in an open loop, where waiting counts anyway.
    static let openLoopDepth = 64

    static let echo = BenchKind(
        name: "echo",
        work: .echo,
        size: "64",
        depth: 1,
        connectionsPerReactor: 64,
        unit: "messages"
    )
    /// Datagrams: each peer has a UDP socket.
    static let datagrams = BenchKind(
        name: "echo",
        work: .datagrams,
        size: "64",
        depth: 1,
        connectionsPerReactor: 64,
        unit: "messages"
    )
    /// As published tables have it: few connections that are always full.
    static let stream = BenchKind(
        name: "stream",
        work: .echo,
        size: "512",
        depth: 64,
        connectionsPerReactor: 4,
        unit: "messages"
    )
    static let connect = BenchKind(
        name: "connect",
        work: .connect,
        size: "64",
        depth: 1,
        connectionsPerReactor: 16,
        unit: "connections"
    )
    /// Many connections with little to do. The server runs in a process of its own, whose memory is read.
    static let idle = BenchKind(
        name: "idle",
        work: .echo,
        size: "64",
        depth: 1,
        connectionsPerReactor: 5000,
        unit: "messages",
        trickle: 0.1
    )
    /// Echoes while other connections come and go.
    static let churn = BenchKind(
        name: "churn",
        work: .echo,
        size: "64",
        depth: 1,
        connectionsPerReactor: 64,
        unit: "messages",
        churn: 1000
    )
}
