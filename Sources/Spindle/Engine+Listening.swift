// SPDX-License-Identifier: Apache-2.0

public import SpindleCore
public import SpindleReactor
internal import SpindleSystem
internal import SpindleTopology

extension Engine {
    /// Listens on `address` with every reactor; accepting begins when the engine runs.
    ///
    /// The sockets are bound before this returns: errors come now, and the addresses are known. A stop ends every
    /// listener: an engine that is started again listens where it is told to anew.
    ///
    /// - Parameters:
    ///   - address: Where; port 0 lets the kernel choose one port for all reactors.
    ///   - options: Interface, dual stack; the engine adds what its accept mode needs.
    ///   - build: Makes the protocol of each connection, on the reactor that has it; nil refuses.
    @discardableResult
    public func listen(
        on address: SocketAddress,
        options: ListenOptions = ListenOptions(),
        _ build: @escaping @Sendable (any StreamTransport) throws -> (any StreamProtocol)?
    ) throws(ListenError) -> Listener {
        try listen(on: [address], options: options) { ClosureFactory(build) }
    }

    /// Listens on `addresses` with every reactor and one factory object per reactor for all of them.
    ///
    /// - Parameters:
    ///   - addresses: At least one.
    ///   - options: Interface, dual stack; the engine adds what its accept mode needs.
    ///   - factory: Makes a reactor's factory object, on that reactor.
    @discardableResult
    public func listen(
        on addresses: [SocketAddress],
        options: ListenOptions = ListenOptions(),
        factory: @escaping @Sendable () -> any StreamProtocolFactory
    ) throws(ListenError) -> Listener {
        precondition(!addresses.isEmpty, "listening needs an address")
        var groups: [SocketGroup] = []
        do throws(ListenError) {
            for address in addresses { groups.append(try bind(address, options)) }
        } catch {
            groups.forEach { $0.close() }
            throw error
        }
        return add(groups, factory)
    }

    /// Has every reactor listen on sockets that are bound, with one factory object per reactor for all of them.
    func add(_ groups: [SocketGroup], _ factory: @escaping @Sendable () -> any StreamProtocolFactory) -> Listener {
        add(groups) { .streams(StreamService(factoryGroup: $0, makeFactory: factory)) }
    }

    /// Has every reactor serve sockets that are bound.
    func add(_ groups: [SocketGroup], _ service: ListenerService) -> Listener { add(groups) { _ in service } }

    /// - Parameter service: Gets the number of the first of these listeners.
    private func add(_ groups: [SocketGroup], _ service: (Int) -> ListenerService) -> Listener {
        let (added, handles): ([PendingListener], [ReactorHandle]?) = state.withLock { state in
            let firstID = state.nextListenerID
            state.nextListenerID += groups.count
            let service = service(firstID)
            let added = groups.enumerated().map { offset, group in
                PendingListener(id: firstID + offset, group: group, service: service)
            }
            guard state.phase == .running else {
                state.listeners += added
                return (added, nil)
            }
            return (added, state.mailroom.handles)
        }
        if let handles { startListening(added, on: handles) }
        return Listener(addresses: added.flatMap(\.group.addresses), ids: added.map(\.id), engine: self)
    }

    /// A socket per reactor, all bound to the same address and listening; of a Unix socket a number per reactor.
    private func bind(_ address: SocketAddress, _ options: ListenOptions) throws(ListenError) -> SocketGroup {
        var options = options
        options.sharedPort = reactorCount > 1 && !address.isUnix
        if configuration.busyPoll > .zero {
            options.busyPollMicroseconds = Int(configuration.busyPoll.clampedNanoseconds / 1000)
        }
        var handles: [SocketHandle] = []
        var refused: SocketOptionName?
        do throws(Errno) {
            let first = try drivers.bind(address, options)
            handles.append(first.socket)
            options.exclusive = false
            for _ in 1..<reactorCount {
                handles.append(
                    try address.isUnix
                        ? drivers.duplicate(first.socket) : drivers.bind(first.address, options).socket
                )
            }
            for handle in handles { try set(options.settings, on: handle, &refused) }
            // All are bound before the first one listens: connections that came earlier would go to too few.
            var granted = configuration.backlog
            for handle in handles { granted = min(granted, try drivers.listen(handle, backlog: configuration.backlog)) }
            if granted < configuration.backlog { reportClampedBacklog(granted) }
            if !address.isUnix { try steer(handles) }
            return SocketGroup(
                sockets: handles.map { TravellingSocket($0, close: drivers.close) },
                addresses: [first.address],
                isShared: address.isUnix && reactorCount > 1,
                keeper: first.keeper
            )
        } catch {
            handles.forEach(drivers.close)
            throw ListenError(address: address, errno: error, option: refused)
        }
    }

    private func set(
        _ settings: [SocketSetting],
        on socket: SocketHandle,
        _ refused: inout SocketOptionName?
    ) throws(Errno) {
        for setting in settings {
            refused = setting.name
            try drivers.set(setting.name, setting.rawValue, on: socket)
        }
        refused = nil
    }

    private func reportClampedBacklog(_ granted: Int) {
        let wanted = configuration.backlog
        let message =
            "the backlog is \(granted) and not \(wanted): the kernel's net.core.somaxconn clamps it; "
            + "raise that (sysctl net.core.somaxconn=\(wanted)) or lower --backlog"
        log.write(LogRecord(level: .warning, message: message))
    }

    /// Lets a program choose the socket, when the accept mode asks for one. A refusal falls back to the hash.
    func steer(_ handles: [SocketHandle]) throws(Errno) {
        guard handles.count > 1 else { return }
        let program: SteeringProgram
        switch configuration.acceptMode {
        case .reuseport, .balanced: return
        case .reuseportCPU: program = .cpu(socketOfCPU: placement.nearestReactorByCPU)
        case .port: program = .sourcePort(socketCount: handles.count)
        }
        do throws(Errno) { try drivers.steer(handles[0], by: program) } catch {
            // Sandboxes refuse BPF with EPERM. For `port`, clients rely on the choice: there it is an error.
            guard configuration.acceptMode == .reuseportCPU else { throw error }
            let message = "steering by CPU was refused (\(error)); the kernel's hash chooses the reactor instead"
            log.write(LogRecord(level: .warning, message: message))
        }
    }

    /// Closes listeners that were to be given to reactors at the start.
    func forget(listeners ids: [Int]) {
        let forgotten = state.withLock { state in
            let forgotten = state.listeners.filter { ids.contains($0.id) }
            state.listeners.removeAll { ids.contains($0.id) }
            return forgotten
        }
        forgotten.forEach { $0.close() }
    }

    /// Gives the sockets to their reactors.
    ///
    /// - Returns: Open once every reactor has begun to accept, or has ended before.
    @discardableResult
    func startListening(_ listeners: [PendingListener], on handles: [ReactorHandle]) -> Latch {
        let balances = makeBalances(listeners, handles)
        let accepting = Latch(count: handles.count)
        for handle in handles {
            let arrival = Arrival(at: accepting)
            Engine.submit(
                { [self] reactor in
                    var (group, use): (Int?, FactoryUse?) = (nil, nil)
                    for listener in listeners {
                        switch listener.service {
                        case .datagrams(let service): serve(listener, service, on: reactor)
                        case .streams(let service):
                            // Those of one group stand together.
                            if group != service.factoryGroup {
                                (group, use) = (service.factoryGroup, reactor.use(of: service.makeFactory()))
                            }
                            listen(listener, use!, balances[listener.id], on: reactor)
                        }
                    }
                    arrival.arrive()
                },
                to: handle
            )
        }
        return accepting
    }

    /// What accept mode `balanced` needs for each listener, by its number, and a shared queue in every mode.
    private func makeBalances(_ listeners: [PendingListener], _ handles: [ReactorHandle]) -> [Int: Balance] {
        guard handles.count > 1 else { return [:] }
        // Whoever is awake first takes what comes to a shared queue: without a balance that is mostly the same one.
        let balanced = listeners.filter {
            guard case .streams = $0.service else { return false }
            return $0.group.isShared || configuration.acceptMode == .balanced
        }
        guard !balanced.isEmpty else { return [:] }
        let channel = SpindleReactor.Channel<HandedOverSocket>(
            mailroom,
            undelivered: { [drivers] message, _ in drivers.close(message.socket) },
            handler: { message, _ in Reactor.current?.adopt(message) }
        )
        let balances = balanced.map { listener in
            let balance = Balance(
                channel,
                handles: handles,
                threshold: configuration.balanceThreshold,
                limit: configuration.limits.maximumConnections
            )
            return (listener.id, balance)
        }
        return Dictionary(uniqueKeysWithValues: balances)
    }

    private func listen(_ listener: PendingListener, _ use: FactoryUse, _ balance: Balance?, on reactor: Reactor) {
        // A stop has begun meanwhile: nobody would end what came.
        guard !reactor.isDraining, let socket = listener.group.sockets[reactor.index].take() else { return }
        do throws(Errno) {
            try reactor.listen(
                on: ListeningSocket(
                    socket,
                    address: listener.group.address,
                    isShared: listener.group.isShared,
                    keeper: listener.group.keeper
                ),
                use: use,
                listenerID: listener.id,
                balance: balance
            )
        } catch {
            // Closed, or the kernel would go on to give it its share of the connections.
            drivers.close(socket)
            let message = "cannot watch the listener on \(listener.group.address): \(error)"
            log.write(LogRecord(level: .error, message: message, reactor: reactor.index))
        }
    }
}
