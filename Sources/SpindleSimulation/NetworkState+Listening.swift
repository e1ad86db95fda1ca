// SPDX-License-Identifier: Apache-2.0

internal import SpindleCore
internal import SpindleReactor

extension NetworkState {
    // MARK: Listening sockets

    mutating func bind(_ address: SocketAddress, _ options: ListenOptions) throws(Errno) -> SocketHandle {
        var address = address
        if address.port == 0 { address = address.with(port: takePort()) }
        for other in listeners where NetworkState.overlap(other.address, address) {
            guard other.options.sharedPort, options.sharedPort else { throw .addressInUse }
        }
        let id = SocketID(slot: -1, serial: takeSerial())
        let handle = try addDescriptor(.listener(id))
        listeners.append(SimulatedListener(id: id, address: address, options: options))
        return handle
    }

    mutating func takePort() -> UInt16 {
        defer { nextPort = nextPort == .max ? 32768 : nextPort + 1 }
        return nextPort
    }

    mutating func listen(_ handle: SocketHandle, backlog: Int) -> Int {
        let granted = min(max(backlog, 1), configuration.maximumBacklog)
        listeners[listenerIndex(handle)].backlog = granted
        return granted
    }

    static func overlap(_ first: SocketAddress, _ second: SocketAddress) -> Bool {
        guard first.port == second.port else { return false }
        return first.with(port: 0) == second.with(port: 0) || first.isWildcard || second.isWildcard
    }

    private static func takes(_ listener: SimulatedListener, _ destination: SocketAddress) -> Bool {
        guard listener.backlog != nil, listener.address.port == destination.port else { return false }
        if listener.address == destination { return true }
        switch (listener.address, destination) {
        case (.ipv4, .ipv4), (.ipv6, .ipv6): return listener.address.isWildcard
        case (.ipv6, .ipv4): return listener.address.isWildcard && listener.options.dualStack
        // A Unix socket is known by its own name only.
        case (.ipv4, .ipv6), (.unix, _), (_, .unix): return false
        }
    }

    /// The listening socket that takes a connection from `source`, which a program or chance chooses from a group.
    private mutating func chooseListener(_ destination: SocketAddress, source: SocketAddress, cpu: Int) -> Int? {
        let group = listeners.indices.filter { NetworkState.takes(listeners[$0], destination) }
        guard group.count > 1 else { return group.first }
        switch programs[listeners[group[0]].address] {
        case .cpu(let socketOfCPU):
            if socketOfCPU.indices.contains(cpu), group.indices.contains(socketOfCPU[cpu]) {
                return group[socketOfCPU[cpu]]
            }
        case .sourcePort(let count):
            let index = Int(source.port) % max(count, 1)
            if group.indices.contains(index) { return group[index] }
        case nil: break
        }
        // An index outside of the group falls back to the hash, silently, as in the kernel.
        return group[random.below(group.count)]
    }

    // MARK: Connecting

    /// Begins a connection; it stands when its handshake's parcel has arrived.
    mutating func connect(to destination: SocketAddress, from source: SocketAddress?, cpu: Int) -> SocketID {
        let local: SocketAddress
        if let source, source.port != 0 {
            local = source
        } else if let source {
            local = source.with(port: takePort())
        } else if case .ipv6 = destination {
            local = .loopback6(port: takePort())
        } else {
            local = .loopback(port: takePort())
        }
        let client = addSocket(local: local, peer: destination)
        self[client].isConnecting = true
        guard !faults.silentAddresses.contains(destination) else { return client }
        guard let index = chooseListener(destination, source: local, cpu: cpu) else {
            dispatch(.reset(to: client), from: client)
            return client
        }
        if listeners[index].queue.count >= listeners[index].backlog! {
            // The handshake is dropped and would be tried again: it waits here instead.
            listeners[index].waiting.append(client)
        } else {
            handshake(client, with: index)
        }
        return client
    }

    private mutating func handshake(_ client: SocketID, with index: Int) {
        let server = addSocket(local: self[client].peerAddress, peer: self[client].localAddress)
        self[server].partner = client
        self[client].partner = server
        listeners[index].queue.append(server)
        noteListenerChange(index)
        dispatch(.established(client), from: client)
    }

    /// The client's side of the connection stands; what the server has sent meanwhile may cross.
    mutating func establish(_ client: SocketID) {
        guard self[client].isConnecting else { return }
        self[client].isConnecting = false
        noteChange(client)
        windowOpened(at: client)
        if exists(client) { transfer(from: client) }
    }

    // MARK: Accepting

    mutating func accept(from handle: SocketHandle) -> AcceptOutcome {
        let index = listenerIndex(handle)
        if !listeners[index].errors.isEmpty { return fail(index, listeners[index].errors.removeFirst()) }
        // Linux reserves the descriptor before it looks into the queue.
        if let descriptorLimit, openDescriptorCount >= descriptorLimit { return .failed(.tooManyFiles) }
        guard !listeners[index].queue.isEmpty else { return .wouldBlock }
        if !faults.acceptErrnos.isEmpty, random.chance(faults.acceptErrors) {
            return fail(index, faults.acceptErrnos[random.below(faults.acceptErrnos.count)])
        }
        let socket = takeFromQueue(index)
        do throws(Errno) {
            return .accepted(try addDescriptor(.socket(socket)), peer: self[socket].peerAddress)
        } catch {
            preconditionFailure("a descriptor was free a moment ago: \(error)")
        }
    }

    private mutating func fail(_ index: Int, _ errno: Errno) -> AcceptOutcome {
        if errno == .connectionAborted, !listeners[index].queue.isEmpty {
            close(takeFromQueue(index), reset: true)
        }
        return .failed(errno)
    }

    private mutating func takeFromQueue(_ index: Int) -> SocketID {
        let socket = listeners[index].queue.removeFirst()
        if !listeners[index].waiting.isEmpty {
            let client = listeners[index].waiting.removeFirst()
            if exists(client) { handshake(client, with: index) }
        }
        return socket
    }

    /// Closes one waiting connection, with the descriptor that is held in reserve.
    mutating func shed(from handle: SocketHandle) -> Bool {
        let index = listenerIndex(handle)
        guard !listeners[index].queue.isEmpty else { return false }
        close(takeFromQueue(index), reset: false)
        return true
    }
}
