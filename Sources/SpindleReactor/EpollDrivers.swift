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
    public func bind(_ address: SocketAddress, _ options: ListenOptions) throws(Errno) -> BoundSocket {
        if options.exclusive, options.sharedPort, address.port != 0 {
            var alone = options
            alone.sharedPort = false
            let probe = try bind(address, alone).socket
            defer { close(probe) }
            _ = try listen(probe, backlog: 1)
        }
        let socket = try StreamSocket.open(for: address)
        do throws(Errno) {
            // Needs CAP_NET_ADMIN to raise; a refusal costs latency, not correctness.
            if let microseconds = options.busyPollMicroseconds { try? socket.set(.busyPoll, microseconds) }
            var file: SocketFile?
            if case .unix(let name) = address {
                file = try bind(socket, name, options)
            } else {
                try socket.set(.reuseAddress, 1)
                if options.sharedPort { try socket.set(.reusePort, 1) }
                if case .ipv6 = address { try socket.set(.onlyIPv6, options.dualStack ? 0 : 1) }
                if let interface = options.interface { try socket.bindToInterface(interface) }
                try socket.bind(to: address)
            }
            return BoundSocket(
                socket: SocketHandle(rawValue: socket.descriptor),
                address: try socket.localAddress(),
                keeper: file
            )
        } catch {
            socket.close()
            throw error
        }
    }

    /// An abstract name has no file: the kernel lets go of it with the socket.
    private func bind(
        _ socket: StreamSocket,
        _ name: String,
        _ options: ListenOptions
    ) throws(Errno) -> SocketFile? {
        let backlog = KernelSetting.maximumBacklog ?? 128
        guard name.first == "@" else {
            return try SocketFile(binding: socket, to: name, mode: options.unixMode, backlog: backlog)
        }
        try socket.bind(to: .unix(name))
        try socket.listen(backlog: backlog)
        return nil
    }

    /// A number of our own for the socket; it must be a stream socket that listens.
    public func adopt(listener descriptor: Int32) throws(AdoptError) -> BoundSocket {
        do throws(AdoptedSocket.Failure) {
            let (socket, address) = try AdoptedSocket.take(descriptor, as: .listener)
            return BoundSocket(socket: SocketHandle(rawValue: socket.descriptor), address: address)
        } catch { throw AdoptError(descriptor, error) }
    }

    /// F_DUPFD_CLOEXEC.
    public func duplicate(_ socket: SocketHandle) throws(Errno) -> SocketHandle {
        SocketHandle(rawValue: try StreamSocket(descriptor: socket.rawValue).duplicate().descriptor)
    }

    /// setsockopt(2).
    public func set(_ option: SocketOptionName, _ value: Int32, on socket: SocketHandle) throws(Errno) {
        try StreamSocket(descriptor: socket.rawValue).set(option, value)
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
