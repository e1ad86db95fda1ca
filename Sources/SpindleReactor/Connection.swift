// SPDX-License-Identifier: Apache-2.0

internal import SpindleCore

/// One TCP connection of a reactor: the transport that its protocol sees, and what the reactor knows of it.
///
/// Owned by the reactor's table until it is closed, used on the reactor's thread only. Idle, it owns no buffer.
/// It decides nothing: `ConnectionState` says what is next, and this class and the reactor do it.
final class Connection: StreamTransport {
    // What every event touches stands first: with the object's header, 64 bytes.
    let reactor: Reactor
    let handle: SocketHandle
    let token: EventToken
    // Unchecked: each is used through the accessor of its name in Connection+State.swift.
    @exclusivity(unchecked) var uncheckedState: ConnectionState
    @exclusivity(unchecked) var uncheckedProto: (any StreamProtocol)?
    /// Nanoseconds of the reactor's clock: when bytes last moved.
    var lastActivity: UInt64

    @exclusivity(unchecked) var uncheckedQueue = WriteQueue()
    /// Who made it: told when it ends. Nil for connections of this side.
    let acceptor: Acceptor?
    let peerAddress: SocketAddress
    let connectionNumber: UInt64
    /// What few connections have.
    var extras: ConnectionExtras?
    private var knownLocalAddress: SocketAddress?

    /// Nanoseconds of the reactor's clock: since when something is awaited.
    var waitingSince: UInt64 = 0
    /// Nanoseconds; 0 for never.
    var idleTimeout: UInt64
    var timer = TimerWheel<TimerAction>.ID.none
    /// What a send failed with while input was still to be delivered. The kernel tells an error once: the read
    /// that comes after it finds an orderly end.
    var sendError: Errno?

    /// The next step of the task that waits for input, when a task reads.
    var reader: UnownedJob?
    /// Tasks are shown no more input: the engine drains.
    var withholdsInput = false
    /// What a task has read and written, and what was sent of files, in the turn with this number: others want to be
    /// served, too.
    var pulledBytes = 0
    var pushedBytes = 0
    var fileBytes = 0
    var shareTurn: UInt64 = 0

    /// Bytes that come before all that the kernel has, none of them empty: what the flag `inputKept` tells of.
    var kept: [ByteChunk] = []
    /// Those of them that a task is being shown.
    var lent: ByteChunk?
    /// Where it goes on when it has ended here.
    var travel: TravellingConnection?

    /// How it is to be closed, and the connection behind it, while it is in the close queue.
    var ending: Ending?
    var nextToClose: Connection?

    init(
        reactor: Reactor,
        handle: SocketHandle,
        peer: SocketAddress,
        acceptor: Acceptor?,
        phase: ConnectionState.Phase
    ) {
        self.reactor = reactor
        self.handle = handle
        self.acceptor = acceptor
        peerAddress = peer
        token = reactor.table.nextToken
        connectionNumber = reactor.nextConnectionNumber()
        var state = ConnectionState(phase)
        if peer.isUnix { state.flags.insert(.mayBePassed) }
        unsafe uncheckedState = state
        lastActivity = reactor.now.nanoseconds
        idleTimeout = reactor.defaultIdleTimeout
    }

    var localAddress: SocketAddress {
        if let knownLocalAddress { return knownLocalAddress }
        // After the close it was remembered, so the socket is open here.
        let address = reactor.driver.localAddress(of: handle) ?? acceptor?.address ?? .anyIPv4(port: 0)
        knownLocalAddress = address
        return address
    }

    /// Asks the kernel for the local address while it can still tell, unless the listener's is the answer.
    func rememberLocalAddress() {
        guard knownLocalAddress == nil else { return }
        if let address = acceptor?.address, !address.isWildcard {
            knownLocalAddress = address
        } else {
            _ = localAddress
        }
    }

    var peerCredentials: PeerCredentials? {
        reactor.preconditionCurrent()
        guard peerAddress.isUnix, state.phase != .closed else { return nil }
        return reactor.driver.peerCredentials(of: handle)
    }

    var bufferedByteCount: Int { queue.unsentByteCount + (reactor.corked == token ? reactor.cork.count : 0) }

    var isWritable: Bool { state.acceptsWrites }

    // MARK: What protocols may call

    func loseConnection() {
        reactor.preconditionCurrent()
        guard state.phase == .open else { return }
        state.loseConnection()
        waitingSince = reactor.now.nanoseconds
        // Mostly nothing waits, and the close follows; what the cork can't get rid of arms the timer then.
        if !queue.isEmpty { reactor.armTimer(of: self) }
        reactor.settleLater(self)
    }

    func abortConnection() {
        reactor.preconditionCurrent()
        reactor.end(self, .aborted, reset: true)
    }

    func loseWriteConnection() {
        reactor.preconditionCurrent()
        state.loseWriteConnection()
        reactor.settleLater(self)
    }

    func pauseProducing() {
        reactor.preconditionCurrent()
        state.flags.insert(.pausedByProtocol)
    }

    func resumeProducing() {
        reactor.preconditionCurrent()
        state.flags.remove(.pausedByProtocol)
        reactor.readLaterIfNeeded(self)
    }

    var isReading: Bool { state.mayRead }

    var pausesReadingAtHighWatermark: Bool {
        get { reactor.configuration.pausesReadingAtHighWatermark && !state.flags.contains(.keepsReading) }
        set {
            reactor.preconditionCurrent()
            guard !newValue else {
                state.flags.remove(.keepsReading)
                if reactor.configuration.pausesReadingAtHighWatermark, state.flags.contains(.aboveWatermark) {
                    state.flags.insert(.pausedByWatermark)
                }
                return
            }
            state.flags.insert(.keepsReading)
            state.flags.remove(.pausedByWatermark)
            reactor.readLaterIfNeeded(self)
        }
    }

    func unread(_ bytes: Span<UInt8>) {
        reactor.preconditionCurrent()
        // On its way to another reactor, it takes them along.
        guard !bytes.isEmpty, state.phase == .open || travel != nil else { return }
        keep(ByteChunk(copying: bytes, from: reactor.pool))
        reactor.readLaterIfNeeded(self)
    }

    @discardableResult
    func setIdleTimeout(_ timeout: Duration?) -> Duration? {
        reactor.preconditionCurrent()
        let previous: Duration? = idleTimeout == 0 ? nil : .nanoseconds(Int64(idleTimeout))
        idleTimeout = timeout.map { UInt64(max($0.clampedNanoseconds, 1)) } ?? 0
        lastActivity = reactor.driver.now().nanoseconds
        if state.isLive { reactor.armTimer(of: self) }
        return previous
    }

    func apply(_ setting: SocketSetting) throws(SocketOptionError) {
        reactor.preconditionCurrent()
        // The descriptor's number may be another's by now.
        guard state.phase != .closed else { throw SocketOptionError(setting.name, .badDescriptor) }
        do throws(Errno) { try reactor.driver.set(setting.name, setting.rawValue, on: handle) } catch {
            throw SocketOptionError(setting.name, error)
        }
    }

    func rawValue(of option: SocketOptionName) throws(SocketOptionError) -> Int32 {
        reactor.preconditionCurrent()
        guard state.phase != .closed else { throw SocketOptionError(option, .badDescriptor) }
        do throws(Errno) { return try reactor.driver.value(of: option, on: handle) } catch {
            throw SocketOptionError(option, error)
        }
    }
}
