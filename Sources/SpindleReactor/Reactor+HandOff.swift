// SPDX-License-Identifier: Apache-2.0

public import SpindleCore

extension StreamTransport {
    /// Hands the live connection to another reactor, where a new protocol goes on with it.
    ///
    /// This side's protocol gets `connectionLost(.handedOff)`, then `build` makes one on the other reactor, which gets
    /// `connectionMade` and then every byte that this side has not consumed: no byte is lost, repeated or out of order,
    /// in either direction. The peer notices nothing. What the new protocol has to know is captured by `build`, which
    /// is Sendable; protocol objects never move. TCP_NODELAY, SO_KEEPALIVE and the idle timeout stay as they are; the
    /// connection has a new number.
    ///
    /// When the other reactor stops meanwhile, or has as many connections as it may, the connection is reset.
    ///
    /// - Parameters:
    ///   - target: Another reactor of the same engine, or of one with the same kind of driver.
    ///   - unread: Bytes that this side was given and has not consumed, of `dataReceived` say: the new protocol gets
    ///     them first.
    ///   - build: Makes the new protocol, on the other reactor; nil closes the connection.
    /// - Returns: False when it can't be handed over: it is ending, the engine stops, or the transport is no reactor's.
    ///   Nothing has changed then.
    @discardableResult
    public func handOff(
        to target: ReactorHandle,
        unread: ByteChunk? = nil,
        _ build: @escaping @Sendable (any StreamTransport) throws -> (any StreamProtocol)?
    ) -> Bool {
        guard let connection = self as? Connection else { return false }
        return connection.reactor.handOff(connection, to: target, unread: unread, build)
    }
}

extension Reactor {
    /// Ends the connection here and has it leave when its protocol was told: from the close queue, like every end.
    func handOff(
        _ connection: Connection,
        to target: ReactorHandle,
        unread: ByteChunk?,
        _ build: @escaping TravellingConnection.Build
    ) -> Bool {
        preconditionCurrent()
        guard connection.state.phase == .open, !connection.state.flags.contains(.outputBroken), !isEnding,
            !target.isStopped
        else { return false }
        connection.travel = TravellingConnection(
            target: target,
            peer: connection.peerAddress,
            unread: unread.map { $0.isEmpty ? [] : [$0] } ?? [],
            unsent: connection.takeUnsent(),
            flags: connection.state.flags.intersection([
                .outputEnding, .outputEnded, .inputIsFinal, .inputHasUrgent, .adopted,
            ]),
            idleTimeout: connection.idleTimeout,
            handshakeDue: connection.extras?.handshakeDue ?? 0,
            held: connection.extras?.held ?? [],
            readLimits: connection.readLimits,
            writeLimits: connection.writeLimits,
            build: build
        )
        if strikes(.earlyBuild) { _ = try? build(connection) }
        guard connection.state.end() else { preconditionFailure("an open connection that can't end") }
        connection.giveBackReservations()
        closeLater(connection, .handedOff, reset: false)
        return true
    }

    /// The protocol was told: the connection leaves.
    func depart(_ connection: Connection, _ travel: TravellingConnection) {
        var travel = travel
        // What its last callback has put back, and what was here before.
        travel.unread += connection.takeAllKept()
        travel.passing = connection.extras?.passing ?? Passing()
        travel.inPlace = connection.extras?.inPlace ?? SendsInPlace()
        if strikes(.lostUnread) { travel.unread = [] }
        let socket = driver.release(connection.handle)
        connection.state.closed()
        forget(connection)
        counters.add(.handedOff)
        travel.target.addToLoad()
        // Never refused: a full queue would be a lost connection.
        let result = travel.target.submitAlways { [travel] in Reactor.current?.arrive(travel, socket) }
        if result == .stopped { travel.target.takeFromLoad() }
    }

    /// A connection of another reactor goes on here.
    private func arrive(_ travel: TravellingConnection, _ travelling: TravellingSocket) {
        guard let socket = travelling.take() else { return }
        guard table.count < configuration.maximumConnections else {
            counters.add(.refused)
            handle.takeFromLoad()
            var inPlace = travel.inPlace
            keep(inPlace.takeAll())
            return driver.close(socket, reset: true)
        }
        let connection = Connection(reactor: self, handle: socket, peer: travel.peer, acceptor: nil, phase: .open)
        connection.idleTimeout = travel.idleTimeout
        if !travel.held.isEmpty { connection.makeExtras().held = travel.held }
        connection.state.flags.formUnion(travel.flags)
        if !travel.passing.isEmpty { connection.makeExtras().passing = travel.passing }
        if travel.inPlace.isUsed { connection.makeExtras().inPlace = travel.inPlace }
        connection.updateOutputQueued()
        connection.readLimits = travel.readLimits
        connection.writeLimits = travel.writeLimits
        guard insert(connection) else {
            _ = keepSendsInPlace(of: connection)
            return
        }
        if !strikes(.lostUnsent) { connection.adoptUnsent(travel.unsent) }
        for chunk in travel.unread.reversed() { connection.keep(chunk) }
        if travel.handshakeDue > 0 { connection.makeExtras().handshakeDue = travel.handshakeDue }
        begin(connection) { try travel.build(connection) }
        if travel.handshakeDue > 0, connection.state.isLive { armTimer(of: connection) }
        readLaterIfNeeded(connection)
        // The engine drains meanwhile: it is treated as those that were here.
        if isEnding, connection.state.isLive { endSoon(connection) }
    }

    /// Hands the protocol what was kept for it, a receive buffer's worth at most, then reads on.
    @inline(never)
    func deliverKept(to connection: Connection) {
        guard connection.state.mayRead, let kept = connection.takeKept(atMost: configuration.receiveBufferBytes) else {
            return
        }
        counters.add(.messages)
        call(connection) { proto throws in if let error = proto._deliver(kept.bytes) { throw error } }
        readLaterIfNeeded(connection)
    }
}

extension Connection {
    /// Bytes, at least one, that come before all that were kept, and all that the kernel has.
    func keep(_ chunk: ByteChunk) {
        kept.insert(chunk, at: 0)
        state.flags.insert([.inputKept, .inputWaits])
    }

    /// The first of what was kept, at most so many bytes.
    func takeKept(atMost limit: Int) -> ByteChunk? {
        guard let chunk = kept.first else { return nil }
        guard chunk.count <= limit else {
            kept[0].removeFirst(limit)
            return chunk.slice(0..<limit)
        }
        kept.removeFirst()
        if kept.isEmpty { state.flags.remove(.inputKept) }
        return chunk
    }

    func takeAllKept() -> [ByteChunk] {
        state.flags.remove(.inputKept)
        defer { kept = [] }
        return kept
    }

    /// What another reactor could not send.
    func adoptUnsent(_ unsent: WriteQueue) {
        guard !unsent.isEmpty else { return }
        queue = unsent
        reactor.counters.add(.bufferedBytes, unsent.byteCount)
        state.flags.insert(.outputWaited)
        waitingSince = reactor.now.nanoseconds
        reactor.armTimer(of: self)
        reactor.settleLater(self)
    }
}
