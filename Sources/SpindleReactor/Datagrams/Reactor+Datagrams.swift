// SPDX-License-Identifier: Apache-2.0

public import SpindleCore
internal import SpindleSystem

extension Reactor {
    /// Opens a UDP socket of this reactor's own.
    ///
    /// - Parameters:
    ///   - local: Where; nil for a port of the kernel's choice on all addresses, of the family of the peer if there is
    ///     one.
    ///   - peer: Connects the socket: its datagrams alone come, `send` may leave the peer out, and its refusal is told.
    ///   - options: How it is made.
    ///   - build: Makes the protocol.
    /// - Returns: The socket, which the engine's stop closes.
    /// - Throws: `DatagramError`.
    @discardableResult
    public func openUDP(
        on local: SocketAddress? = nil,
        connectedTo peer: SocketAddress? = nil,
        options: DatagramOptions = DatagramOptions(),
        _ build: (any DatagramTransport) throws -> any DatagramProtocol
    ) throws(DatagramError) -> any DatagramTransport {
        preconditionCurrent()
        guard let datagrams = driver as? any DatagramDriver else { throw .notSupported }
        let address = local ?? (peer?.isIPv6 == true ? .any(port: 0) : .anyIPv4(port: 0))
        let options = options.fitting(configuration)
        let handle = try datagrams.openDatagrams(on: address, connectedTo: peer, options)
        return try start(handle, of: datagrams, peer: peer, options, listenerID: nil, build)
    }

    /// Serves a UDP socket that is bound, which the reactor now owns.
    package func serve(
        datagrams handle: SocketHandle,
        options: DatagramOptions,
        listenerID: Int,
        _ build: (any DatagramTransport) throws -> any DatagramProtocol
    ) throws(DatagramError) {
        preconditionCurrent()
        guard let datagrams = driver as? any DatagramDriver else {
            driver.close(handle, reset: false)
            throw .notSupported
        }
        let peer = options.isAdopted ? datagrams.peer(of: handle) : nil
        _ = try start(handle, of: datagrams, peer: peer, options, listenerID: listenerID, build)
    }

    private func start(
        _ handle: SocketHandle,
        of datagrams: any DatagramDriver,
        peer: SocketAddress?,
        _ options: DatagramOptions,
        listenerID: Int?,
        _ build: (any DatagramTransport) throws -> any DatagramProtocol
    ) throws(DatagramError) -> DatagramPort {
        guard !isEnding else {
            driver.close(handle, reset: false)
            throw .engineStopped
        }
        if datagramRoom == nil { datagramRoom = DatagramRoom(configuration) }
        portCount &+= 1
        let slot = freePorts.popLast() ?? ports.count
        if slot == ports.count { ports.append(nil) }
        let port = DatagramPort(
            on: self,
            datagrams,
            handle,
            token: EventToken(port: slot, number: portCount),
            local: driver.localAddress(of: handle) ?? .anyIPv4(port: 0),
            peer: peer,
            options,
            listenerID: listenerID
        )
        do throws(Errno) { try datagrams.watch(datagrams: handle, token: port.token) } catch {
            driver.close(handle, reset: false)
            freePorts.append(slot)
            throw .bind(ListenError(address: port.localAddress, errno: error))
        }
        // Before its protocol is made, which may send, close it, or open others.
        ports[slot] = port
        do { try begin(port, serving: build(port)) } catch {
            port.abandon()
            throw .failed(error)
        }
        return port
    }

    private func begin(_ port: DatagramPort, serving proto: any DatagramProtocol) {
        // Closed while it was made: it never began.
        guard port.isOpen else { return }
        port.proto = proto
        port.runProtocol = proto as? any DatagramRunProtocol
        counters.add(.liveProtocols)
        // Within another callback it has to wait for that one's end.
        if corked == .none { tellStart(port) } else { startingPorts.append(port) }
    }

    func tellStart(_ port: DatagramPort) {
        guard !port.hasStarted else { return }
        port.hasStarted = true
        call(port) { proto throws in try proto.startProtocol() }
    }

    /// True while a socket has something to do without any event.
    var hasDatagramWork: Bool {
        guard let datagramRoom else { return false }
        return datagramRoom.owner != nil || !readyPorts.isEmpty || !closedPorts.isEmpty || !startingPorts.isEmpty
            || !refusedPorts.isEmpty
    }

    // MARK: Callbacks

    private func call(_ port: DatagramPort, _ body: (any DatagramProtocol) throws -> Void) {
        guard let proto = port.proto else { return }
        let outer = corked
        corked = port.token
        do { try body(proto) } catch { report(error, port, nil) }
        corked = outer
    }

    /// A socket goes on whatever its callbacks throw: the others' datagrams are none of this one's business.
    @inline(never)
    func report(_ error: any Error, _ port: DatagramPort, _ origin: DatagramOrigin?) {
        counters.add(.failedCallbacks)
        let peer = origin.map { " from \($0.peer)" } ?? ""
        warnSeldom(.datagramCallback, "a callback of the datagrams on \(port.localAddress) threw \(error)\(peer)")
    }

    /// The protocol is told of the refusal at flush, which is no callback of its own.
    func refused(_ port: DatagramPort) {
        guard !port.wasRefused else { return }
        port.wasRefused = true
        refusedPorts.append(port)
    }

    private func tellRefusedPorts() {
        var refused: ContiguousArray<DatagramPort> = []
        swap(&refused, &refusedPorts)
        for port in refused {
            port.wasRefused = false
            if port.isOpen { call(port) { proto throws in try proto.connectionRefused() } }
        }
    }

    // MARK: Closing

    /// The port is closed: its protocol is told at flush, which is no callback of its own.
    func closed(_ port: DatagramPort) {
        if let count = port.driver.dropCount(of: port.handle) { countDrops(of: port, count) }
        if port.options.isAdopted { driver.unwatch(descriptor: port.handle.rawValue) }
        driver.close(port.handle, reset: false)
        let slot = port.token.portIndex!
        ports[slot] = nil
        freePorts.append(slot)
        closedPorts.append(port)
    }

    /// Tells those that were opened in a callback, refused or closed, and sends what these and other callbacks than its
    /// own have given a socket.
    @inline(never)
    func flushDatagrams() {
        if !startingPorts.isEmpty { tellStartingPorts() }
        if !refusedPorts.isEmpty { tellRefusedPorts() }
        if !closedPorts.isEmpty { tellClosedPorts() }
        sendDatagrams()
    }

    private func tellStartingPorts() {
        var starting: ContiguousArray<DatagramPort> = []
        swap(&starting, &startingPorts)
        for port in starting { tellStart(port) }
    }

    private func tellClosedPorts() {
        var closed: ContiguousArray<DatagramPort> = []
        swap(&closed, &closedPorts)
        for port in closed {
            // None when it could not be made, or closed its own socket while it was.
            guard port.proto != nil else { continue }
            tellStart(port)
            call(port) { proto throws in try proto.stopProtocol() }
            port.forget()
            counters.add(.liveProtocols, -1)
        }
    }

    /// Closes the UDP sockets of a listener.
    func closePorts(of listenerID: Int) {
        for port in ports { if let port, port.listenerID == listenerID { port.close() } }
    }

    /// Closes all.
    func closePorts() { for port in ports { port?.close() } }

    /// Closes all, and tells them.
    func endPorts() {
        closePorts()
        while !closedPorts.isEmpty { tellClosedPorts() }
        (readyPorts, startingPorts, refusedPorts) = ([], [], [])
    }
}

extension SocketAddress {
    var isIPv6: Bool { if case .ipv6 = self { true } else { false } }
}
