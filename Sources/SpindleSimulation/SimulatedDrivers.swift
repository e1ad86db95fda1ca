// SPDX-License-Identifier: Apache-2.0

public import SpindleCore
public import SpindleReactor
internal import SpindleSystem

/// Makes the drivers of N reactors that share one simulated network, and their listening sockets.
///
/// Takes the place of `EpollDrivers`: an engine, or a `SimulatedScheduler`, can't tell the difference.
public struct SimulatedDrivers: DriverProvider {
    /// The network that all of them share.
    public let network: SimulatedNetwork

    /// Drivers on `network`; it must not have served another provider, since drivers are numbered in it.
    public init(network: SimulatedNetwork) { self.network = network }

    /// The driver of reactor `index`.
    public func makeDriver(reactor index: Int, configuration: ReactorConfiguration) throws(Errno) -> any Driver {
        makeSimulatedDriver(reactor: index, configuration: configuration)
    }

    /// The driver of reactor `index`, with its own type: for tests that look into it.
    public func makeSimulatedDriver(reactor index: Int, configuration: ReactorConfiguration) -> SimulatedDriver {
        network.state.withLock { state in
            // Reactors may start in any order.
            while state.readyLists.count <= index { state.readyLists.append(ReadyList()) }
        }
        return SimulatedDriver(network: network, index: index, configuration: configuration)
    }

    /// Takes the address; port 0 becomes one that is free.
    ///
    /// - Throws: EADDRINUSE, unless all who have the address share it; EMFILE over the descriptor limit.
    public func bind(_ address: SocketAddress, _ options: ListenOptions) throws(Errno) -> BoundSocket {
        try network.state.withLock { state throws(Errno) in
            let socket = try state.bind(address, options)
            return BoundSocket(socket: socket, address: state.localAddress(of: socket) ?? address)
        }
    }

    /// Not simulated: EOPNOTSUPP.
    public func duplicate(_ socket: SocketHandle) throws(Errno) -> SocketHandle { throw .notSupported }

    /// Does nothing: listeners have no options here.
    public func set(_ option: SocketOptionName, _ value: Int32, on socket: SocketHandle) throws(Errno) {}

    /// Lets connections queue up; the backlog is clamped to the network's `maximumBacklog`.
    public func listen(_ socket: SocketHandle, backlog: Int) throws(Errno) -> Int {
        network.state.withLock { $0.listen(socket, backlog: backlog) }
    }

    /// Chooses the group's sockets by `program` from now on.
    public func steer(_ socket: SocketHandle, by program: SteeringProgram) throws(Errno) {
        network.state.withLock { state in
            if let address = state.localAddress(of: socket) { state.programs[address] = program }
        }
    }

    /// Closes a socket that no driver has taken over.
    public func close(_ socket: SocketHandle) {
        network.state.withLock { $0.closeDescriptor(socket, reset: false) }
    }
}

extension NetworkState {
    func localAddress(of handle: SocketHandle) -> SocketAddress? {
        switch target(of: handle) {
        case .socket(let id): self[id].localAddress
        case .listener: listeners[listenerIndex(handle)].address
        case .datagrams: datagramSockets[datagramIndex(handle)].address
        }
    }
}
