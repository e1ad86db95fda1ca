// SPDX-License-Identifier: Apache-2.0

public import SpindleCore
public import SpindleReactor
internal import SpindleSystem

extension Engine {
    /// Serves UDP on `address` with every reactor: each has a socket and a protocol object of its own, and the kernel's
    /// hash of the addresses (or the accept mode's program) chooses. By the hash or the source
    /// port a peer stays with its reactor.
    ///
    /// The sockets are bound before this returns; receiving begins when the engine runs. A stop closes them before
    /// connections drain: what is unsent then leaves, what has not been received is lost.
    ///
    ///     try engine.listenUDP(on: .any(port: 7000)) { Echo($0) }
    ///
    /// - Parameters:
    ///   - address: Where; port 0 lets the kernel choose one port for all reactors.
    ///   - options: How the sockets are made, and what answers may have.
    ///   - build: Makes a reactor's protocol object, on that reactor; an error of it is logged, and that reactor
    ///     serves none.
    /// - Throws: `DatagramError` when the address can't be had.
    @discardableResult
    public func listenUDP(
        on address: SocketAddress,
        options: DatagramOptions = DatagramOptions(),
        _ build: @escaping @Sendable (any DatagramTransport) throws -> any DatagramProtocol
    ) throws(DatagramError) -> Listener {
        add([try bindDatagrams(address, options)], .datagrams(options, build))
    }

    /// Serves UDP on `address` by a task on every reactor, which has a socket of its own; as
    /// `listenUDP(on:options:_:)` otherwise.
    ///
    /// - Parameters:
    ///   - address: Where; port 0 lets the kernel choose one port for all reactors.
    ///   - options: How the sockets are made, and what answers may have.
    ///   - handler: Serves one reactor's socket, isolated to that reactor. When it returns or throws, the socket is
    ///     closed; an error is logged.
    /// - Throws: `DatagramError` when the address can't be had.
    @discardableResult
    public func serveUDP(
        on address: SocketAddress,
        options: DatagramOptions = DatagramOptions(),
        _ handler: @escaping DatagramEndpoint.Handler
    ) throws(DatagramError) -> Listener {
        try listenUDP(on: address, options: options) {
            DatagramHandler($0, options: options, handler)
        }
    }

    /// Serves UDP sockets that somebody else has bound: a service manager, or the process that this one replaces. The
    /// sockets belong to the reactors in turn; with fewer than reactors, some have none.
    ///
    /// - Parameters:
    ///   - descriptors: At least one; each a UDP socket that is bound. The caller closes his own, now or later; the
    ///     sockets are non-blocking from now on.
    ///   - options: What answers may have, and what the kernel is to tell; how sockets are made is done.
    ///   - build: As of `listenUDP(on:options:_:)`.
    /// - Throws: `AdoptError`; nothing is served then.
    @discardableResult
    public func listenUDP(
        adopting descriptors: [Int32],
        options: DatagramOptions = DatagramOptions(),
        _ build: @escaping @Sendable (any DatagramTransport) throws -> any DatagramProtocol
    ) throws(AdoptError) -> Listener {
        precondition(!descriptors.isEmpty, "listening needs a socket")
        guard let provider = drivers as? any DatagramDriverProvider else {
            throw AdoptError(descriptor: descriptors[0], reason: "\(DatagramError.notSupported)")
        }
        var options = options.fitting(configuration.limits)
        options.isAdopted = true
        var bound: [BoundSocket] = []
        do throws(AdoptError) {
            for descriptor in descriptors { bound.append(try provider.adopt(datagrams: descriptor, options)) }
        } catch {
            bound.forEach { drivers.close($0.socket) }
            throw error
        }
        let groups = stride(from: 0, to: bound.count, by: reactorCount).map { start in
            let sockets = bound[start..<min(start + reactorCount, bound.count)]
            return SocketGroup(
                sockets: sockets.map { TravellingSocket($0.socket, close: drivers.close) },
                addresses: sockets.map(\.address),
                isShared: false,
                keeper: nil
            )
        }
        return add(groups, .datagrams(options, build))
    }

    private func bindDatagrams(
        _ address: SocketAddress,
        _ options: DatagramOptions
    ) throws(DatagramError) -> SocketGroup {
        guard let provider = drivers as? any DatagramDriverProvider else { throw .notSupported }
        var options = options.fitting(configuration.limits)
        options.sharedPort = reactorCount > 1
        var handles: [SocketHandle] = []
        do throws(DatagramError) {
            let first = try provider.bindDatagrams(to: address, options)
            handles.append(first.socket)
            options.exclusive = false
            for _ in 1..<reactorCount { handles.append(try provider.bindDatagrams(to: first.address, options).socket) }
            do throws(Errno) { try steer(handles) } catch {
                throw .bind(ListenError(address: address, errno: error))
            }
            return SocketGroup(
                sockets: handles.map { TravellingSocket($0, close: drivers.close) },
                addresses: [first.address],
                isShared: false,
                keeper: nil
            )
        } catch {
            handles.forEach(drivers.close)
            throw error
        }
    }

    /// Gives a reactor its socket of a listener, if it has one.
    func serve(_ listener: PendingListener, _ service: DatagramService, on reactor: Reactor) {
        let sockets = listener.group.sockets
        // A stop has begun meanwhile: nobody would close it.
        guard !reactor.isDraining, reactor.index < sockets.count, let socket = sockets[reactor.index].take() else {
            return
        }
        do throws(DatagramError) {
            try reactor.serve(
                datagrams: socket,
                options: service.options,
                listenerID: listener.id,
                service.build
            )
        } catch {
            let message = "datagrams on \(listener.group.address) are not served: \(error)"
            log.write(LogRecord(level: .error, message: message, reactor: reactor.index))
        }
    }
}
