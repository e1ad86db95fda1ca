// SPDX-License-Identifier: Apache-2.0

package import SpindleCore

extension Reactor {
    /// Starts accepting from a listening socket, which the reactor now owns.
    package func listen(
        on socket: ListeningSocket,
        use: FactoryUse,
        listenerID: Int = 0,
        balance: Balance? = nil
    ) throws(Errno) {
        preconditionCurrent()
        let acceptor = Acceptor(
            socket,
            token: EventToken(listener: acceptors.count),
            use: use,
            listenerID: listenerID,
            balance: balance
        )
        try driver.watch(listener: socket.handle, token: acceptor.token, isShared: socket.isShared)
        acceptors.append(acceptor)
        use.begin()
        balance?.setListening(true, index)
    }

    /// Stops accepting on the listener: what waits in its queue is served first, then the socket is closed.
    ///
    /// From within a callback that is in the next turn: serving means callbacks, and one runs at a time.
    package func stopListening(_ listenerID: Int) {
        preconditionCurrent()
        guard corked == .none else { return callSoon { [unowned self] in stopListening(listenerID) } }
        closePorts(of: listenerID)
        for acceptor in acceptors.compactMap({ $0 }) where acceptor.listenerID == listenerID && !acceptor.isClosed {
            // A closed listener resets what is in its queue (tcp_migrate_req is off by default), so it is emptied.
            // Nothing is handed over any more: the other reactors' listeners may be closed already.
            if strikes(.deafListener, every: 1) { continue }
            acceptor.isClosing = true
            acceptor.balance?.setListening(false, index)
            var rounds = 0
            repeat {
                acceptor.isOnReadyList = false
                if !strikes(.unservedQueue, every: 1) { accept(from: acceptor) }
                rounds += 1
            } while acceptor.isOnReadyList && rounds < 1024
            acceptor.isClosed = true
            _ = wheel.cancel(acceptor.restTimer)
            acceptors[acceptor.token.listenerIndex!] = nil
            driver.close(listener: acceptor.handle)
            acceptor.use.end()
        }
    }

    package func stopListening() {
        for acceptor in acceptors.compactMap({ $0 }) { stopListening(acceptor.listenerID) }
        for port in ports { if let id = port?.listenerID { stopListening(id) } }
    }

    /// Takes connections until there is none or the budget ends.
    func accept(from acceptor: Acceptor) {
        guard !acceptor.isClosed, !acceptor.isResting else { return }
        for _ in 0..<acceptBudget {
            counters.add(.acceptCalls)
            switch driver.accept(from: acceptor.handle) {
            case .wouldBlock: return
            case .accepted(let handle, let peer):
                counters.add(.accepted)
                admit(handle, peer: peer, acceptor)
                // `buildProtocol` or `connectionMade` may have stopped the listener.
                if acceptor.isClosed { return }
            case .failed(let errno):
                counters.add(errno)
                if !goOn(after: errno, acceptor) { return }
            }
        }
        counters.add(.acceptBudgetExhausted)
        acceptLater(acceptor)
    }

    /// With more ended connections than one turn closes, fewer are taken than are closed: or they would pile up, each
    /// with its descriptor, under clients that come and go faster than that.
    private var acceptBudget: Int {
        closeQueue.count <= configuration.closeBudget
            ? configuration.acceptBudget : min(configuration.acceptBudget, max(configuration.closeBudget / 2, 1))
    }

    func acceptLater(_ acceptor: Acceptor) {
        guard !acceptor.isOnReadyList, !acceptor.isClosed else { return }
        acceptor.isOnReadyList = true
        readyAcceptors.append(acceptor)
    }

    private func admit(_ handle: SocketHandle, peer: SocketAddress, _ acceptor: Acceptor) {
        if !acceptor.isClosing, let balance = acceptor.balance, handOver(handle, peer: peer, acceptor, balance) {
            return
        }
        welcome(handle, peer: peer, acceptor, acceptor.use.factory.buildProtocol)
    }

    /// Makes a connection of a socket that is connected, if there is room for one, and a protocol for it.
    func welcome(
        _ handle: SocketHandle,
        peer: SocketAddress,
        _ acceptor: Acceptor?,
        _ build: (any StreamTransport) throws -> (any StreamProtocol)?
    ) {
        guard table.count < configuration.maximumConnections else {
            counters.add(.refused)
            return driver.close(handle, reset: false)
        }
        self.handle.addToLoad()
        adopt(handle, peer: peer, acceptor, build)
    }

    /// Makes a connection of a socket that is in the load already, and a protocol for it.
    func adopt(
        _ handle: SocketHandle,
        peer: SocketAddress,
        _ acceptor: Acceptor?,
        _ build: (any StreamTransport) throws -> (any StreamProtocol)?
    ) {
        let connection = Connection(reactor: self, handle: handle, peer: peer, acceptor: acceptor, phase: .open)
        guard insert(connection) else { return }
        begin(connection) { try build(connection) }
    }

    /// Puts the connection, which is in the load already, into the table and has its events reported.
    func insert(_ connection: Connection) -> Bool {
        do throws(Errno) { try driver.watch(connection: connection.handle, token: connection.token) } catch {
            // ENOMEM, or ENOSPC over /proc/sys/fs/epoll/max_user_watches: this one can't be served.
            counters.add(error)
            logAcceptError("a connection cannot be watched: \(error)")
            driver.close(connection.handle, reset: true)
            handle.takeFromLoad()
            return false
        }
        table.insert(connection)
        counters.add(.openConnections)
        return true
    }

    /// Builds the protocol of a connection that stands, and lets it begin.
    func begin(_ connection: Connection, _ build: () throws -> (any StreamProtocol)?) {
        var proto: (any StreamProtocol)?
        corked = connection.token
        do { proto = try build() } catch {
            write(.error, "buildProtocol threw \(error)", about: connection)
        }
        corked = .none
        guard let proto, connection.state.isLive else {
            cork.removeAll()
            letGo(of: proto)
            if proto == nil { counters.add(.refused) }
            // Closed now and not from the queue: there is no protocol to tell, and the peer learns at once.
            // What another reactor's protocol has written, and is not sent, must not look like an orderly end.
            if connection.state.end() {
                let isCut = !connection.queue.isEmpty
                dropOutput(of: connection)
                close(connection, reset: isCut)
            }
            return
        }
        connection.proto = proto
        connection.state.flags.insert(.served)
        counters.add(.liveProtocols)
        if connection.idleTimeout > 0 { armTimer(of: connection) }
        call(connection) { proto throws in try proto.connectionMade() }
    }

    /// Takes wrappers and what is in them apart: they hold each other until the end, of which nobody tells these.
    private func letGo(of proto: (any StreamProtocol)?) {
        var wrapper = proto as? any StreamWrapper
        while let outer = wrapper {
            wrapper = outer.inner as? any StreamWrapper
            outer.inner = nil
        }
    }

    // MARK: Errors of accept

    /// - Returns: True when the next connection may be taken.
    private func goOn(after errno: Errno, _ acceptor: Acceptor) -> Bool {
        switch AcceptPolicy(errno) {
        case .skip: return true
        case .shed:
            logAcceptError("no descriptor left for a new connection: \(errno); raise RLIMIT_NOFILE (ulimit -n)")
            if driver.shed(from: acceptor.handle) {
                counters.add(.shed)
                return true
            }
            rest(acceptor)
            return false
        case .rest:
            logAcceptError("accept: \(errno)")
            rest(acceptor)
            return false
        case .report:
            logAcceptError("accept failed unexpectedly: \(errno)")
            rest(acceptor)
            return false
        }
    }

    /// Lets the listener alone for a while: its edge was used up, so a timer has to try again.
    private func rest(_ acceptor: Acceptor) {
        acceptor.restTimer = wheel.schedule(at: tick(after: AcceptPolicy.restTime), .listener(acceptor))
    }

    private func logAcceptError(_ message: String) { warnSeldom(.accepting, message) }
}
