// SPDX-License-Identifier: Apache-2.0

internal import SpindleCore
internal import SpindleReactor

/// Names a socket of a simulated network; the serial number tells a slot's tenants apart.
struct SocketID: Hashable, Sendable {
    let slot: Int
    let serial: UInt64
}

/// That a driver wants a socket's events.
struct Registration: Sendable {
    let driver: Int
    let token: EventToken
    /// In the driver's queue already: further changes join that event, as in epoll's ready list.
    var isQueued = false
}

/// One end of a simulated TCP connection, as the kernel would keep it. Belongs to its network.
///
///     send ─▶ unsent ──(delay, the other end's window)──▶ the other end's received ─▶ receive
struct SimulatedSocket: Sendable {
    let id: SocketID
    let localAddress: SocketAddress
    let peerAddress: SocketAddress
    /// The other end; nil when it is gone for good.
    var partner: SocketID?

    var received = SocketBuffer()
    var unsent = SocketBuffer()
    var receiveCapacity: Int
    var sendCapacity: Int
    /// So many of the unsent bytes have waited for their delay.
    var crossableByteCount = 0
    /// The end of output has waited for its delay.
    var endMayCross = false
    /// When the last parcel that was sent arrives: the next can't arrive before it.
    var lastDue: UInt64 = 0

    var isConnecting = false
    /// The other end's FIN was received, behind all its bytes.
    var inputEnded = false
    /// This end called shutdown or close.
    var outputEnded = false
    /// This end's FIN has reached the other.
    var endCrossed = false
    /// A reset was received: the kernel's state CLOSE.
    var isBroken = false
    /// No descriptor and no peer object refers to it any more; the kernel still sends what is unsent.
    var isOrphan = false
    /// A send met a full buffer (SOCK_NOSPACE): the next room is an edge.
    var wantsRoom = false
    /// What SO_ERROR would return.
    var error: Errno?

    var registration: Registration?

    var room: Int { max(0, sendCapacity - unsent.count) }

    /// sk_stream_is_writeable: a third of the buffer is free.
    var isWritable: Bool { room * 2 >= unsent.count && room > 0 }

    /// What poll would say now. tcp_poll() of Linux's net/ipv4/tcp.c.
    var readiness: Readiness {
        guard !isConnecting else { return [] }
        var readiness: Readiness = []
        if isBroken || (inputEnded && outputEnded) { readiness.insert(.hangUp) }
        if isBroken || inputEnded { readiness.formUnion([.readable, .peerClosed]) }
        if !received.isEmpty { readiness.insert(.readable) }
        if isBroken || outputEnded || isWritable { readiness.insert(.writable) }
        if error != nil { readiness.insert(.error) }
        return readiness
    }
}

/// One listening socket of a simulated network.
struct SimulatedListener: Sendable {
    let id: SocketID
    let address: SocketAddress
    let options: ListenOptions
    /// Nil while it is bound only.
    var backlog: Int?
    /// Connections that stand and wait for accept, first come first served.
    var queue: [SocketID] = []
    /// Clients whose handshake waits for room in the queue.
    var waiting: [SocketID] = []
    var registration: Registration?
    /// What the next accepts fail with, in order.
    var errors: [Errno] = []
}
