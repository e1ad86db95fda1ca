// SPDX-License-Identifier: Apache-2.0

public import SpindleCore
internal import SpindleSystem

/// Makes epoll drivers and real listening sockets: what an engine uses unless it is told otherwise.
public struct EpollDrivers: DriverProvider {
    private let reserve = DescriptorReserve()

    /// Holds one descriptor in reserve (`/dev/null`) for when all are used up.
    public init() {}

    /// The epoll driver of reactor `index`.
    public func makeDriver(reactor index: Int, configuration: ReactorConfiguration) throws(Errno) -> any Driver {
        try EpollDriver(configuration: configuration, reserve: reserve)
    }

    /// socket(2), the options, bind(2).
    ///
    /// With `exclusive`, a socket without SO_REUSEPORT is tried first: otherwise a second server of the same user
    /// would silently share the port and take half of the connections.
    public func bind(_ address: SocketAddress, _ options: ListenOptions) throws(Errno) -> SocketHandle {
        if options.exclusive, options.sharedPort, address.port != 0 {
            var alone = options
            alone.sharedPort = false
            let probe = try bind(address, alone)
            do throws(Errno) { _ = try listen(probe, backlog: 1) } catch {
                close(probe)
                throw error
            }
            close(probe)
        }
        let socket = try StreamSocket.open(for: address)
        do throws(Errno) {
            try socket.set(.reuseAddress, 1)
            if options.sharedPort { try socket.set(.reusePort, 1) }
            if case .ipv6 = address { try socket.set(.onlyIPv6, options.dualStack ? 0 : 1) }
            if let interface = options.interface { try socket.bindToInterface(interface) }
            // Needs CAP_NET_ADMIN to raise; a refusal costs latency, not correctness.
            if let microseconds = options.busyPollMicroseconds { try? socket.set(.busyPoll, microseconds) }
            try socket.bind(to: address)
            return SocketHandle(rawValue: socket.descriptor)
        } catch {
            socket.close()
            throw error
        }
    }

    /// getsockname(2).
    public func localAddress(of socket: SocketHandle) throws(Errno) -> SocketAddress {
        try StreamSocket(descriptor: socket.rawValue).localAddress()
    }

    /// listen(2). The kernel clamps `backlog` to net.core.somaxconn without a word.
    public func listen(_ socket: SocketHandle, backlog: Int) throws(Errno) -> Int {
        try StreamSocket(descriptor: socket.rawValue).listen(backlog: backlog)
        return min(backlog, KernelSetting.maximumBacklog ?? backlog)
    }

    /// SO_ATTACH_REUSEPORT_CBPF.
    public func steer(_ socket: SocketHandle, by program: SteeringProgram) throws(Errno) {
        try StreamSocket(descriptor: socket.rawValue).attachReuseportFilter(program.instructions)
    }

    /// close(2).
    public func close(_ socket: SocketHandle) { StreamSocket(descriptor: socket.rawValue).close() }
}
