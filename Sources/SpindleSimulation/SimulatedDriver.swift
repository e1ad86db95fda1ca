// SPDX-License-Identifier: Apache-2.0

public import SpindleCore
public import SpindleReactor
internal import SpindleSystem
internal import Synchronization

/// A driver on a `SimulatedNetwork`: epoll's edges, without a kernel.
///
/// Made by `SimulatedDrivers`, used by one reactor on one thread, like every driver. It never blocks: a wait that
/// finds nothing notes until when the reactor wanted to sleep (`sleepsUntil`) and returns, and time goes on when
/// the test or a `SimulatedScheduler` says so.
@safe public final class SimulatedDriver: Driver {
    private final class Waker: DriverWaker {
        let isRung = Atomic<Bool>(false)
        func wake() { isRung.store(true, ordering: .releasing) }
    }

    /// The network that its sockets belong to.
    public let network: SimulatedNetwork
    /// The reactor's index, which is also the driver's number in its network.
    public let index: Int
    /// When the last wait would have ended by itself: nil after one that only polled or returned events, the end
    /// of time (`UInt64.max`) when no timer was due.
    public private(set) var sleepsUntil: MonotonicInstant?
    /// Events that waits have returned so far.
    public private(set) var eventCount = 0

    private let simulatedWaker = Waker()
    private let buffer: LentBuffer

    init(network: SimulatedNetwork, index: Int, configuration: ReactorConfiguration) {
        self.network = network
        self.index = index
        buffer = LentBuffer(capacity: configuration.receiveBufferBytes)
    }

    /// Ends the reactor's sleep: it becomes due at the scheduler's next look. From any thread.
    public var waker: any DriverWaker { simulatedWaker }

    /// The network's time.
    public func now() -> MonotonicInstant {
        MonotonicInstant(nanoseconds: network.state.withLock { $0.readClock() })
    }

    /// Does nothing: its memory is nobody's.
    public func start() {}

    /// Returns at once with what changed, as many events as there is room for, the others at the next wait.
    public func wait(timeout: Int64, into events: inout EventBuffer) {
        events.removeAll()
        buffer.takeBack()
        let wasRung = simulatedWaker.isRung.exchange(false, ordering: .acquiring)
        let now = network.state.withLock { state in
            state.advance(to: state.now)
            state.takeEvents(of: index, into: &events)
            return state.now
        }
        eventCount += events.count
        if timeout == 0 || wasRung || !events.isEmpty {
            sleepsUntil = nil
        } else {
            let (end, overflow) = now.addingReportingOverflow(UInt64(max(timeout, 0)))
            sleepsUntil = MonotonicInstant(nanoseconds: timeout < 0 || overflow ? .max : end)
        }
    }

    /// True when the reactor has reason to take a turn at `instant`: events, a ring, or the end of its sleep.
    public func isDue(at instant: MonotonicInstant) -> Bool {
        guard let sleepsUntil else { return true }
        return sleepsUntil <= instant || simulatedWaker.isRung.load(ordering: .acquiring)
            || network.hasEvents(for: index)
    }

    /// Reports the listener's connections; those that wait already at once.
    public func watch(listener: SocketHandle, token: EventToken, isShared: Bool) throws(Errno) {
        try watch(listener, token)
    }

    /// Closes a listening socket.
    public func close(listener: SocketHandle) { close(listener, reset: false) }

    /// Takes a connection, or fails as the network's `FaultPlan`, `descriptorLimit` or script has it.
    public func accept(from listener: SocketHandle) -> AcceptOutcome {
        network.state.withLock { $0.accept(from: listener) }
    }

    /// Closes one waiting connection; false when none waits.
    public func shed(from listener: SocketHandle) -> Bool { network.state.withLock { $0.shed(from: listener) } }

    /// Reports the connection's events; what holds already at once.
    public func watch(connection: SocketHandle, token: EventToken) throws(Errno) { try watch(connection, token) }

    private func watch(_ handle: SocketHandle, _ token: EventToken) throws(Errno) {
        let index = index
        try network.state.withLock { state throws(Errno) in
            try state.watch(handle, token: token, driver: index)
        }
    }

    /// Forgets the registration; the socket stays in the network.
    public func release(_ connection: SocketHandle) -> TravellingSocket {
        network.state.withLock { state in
            let id = state.socket(connection)
            state[id].registration = nil
        }
        return TravellingSocket(connection) { [network] socket in
            network.state.withLock { $0.closeDescriptor(socket, reset: true) }
        }
    }

    /// Begins a connection; without a listener at the address it is refused, as an event.
    ///
    /// - Throws: EMFILE over the network's `descriptorLimit`.
    public func connect(
        to address: SocketAddress,
        from local: SocketAddress?,
        settings: [SocketSetting]
    ) throws(ConnectRefusal) -> SocketHandle {
        try network.state.withLock { state throws(ConnectRefusal) in
            let id = state.connect(to: address, from: local, cpu: 0)
            for setting in settings { state.options[id, default: [:]][setting.name] = setting.rawValue }
            do throws(Errno) { return try state.addDescriptor(.socket(id)) } catch {
                state.close(id, reset: true)
                throw .system(error)
            }
        }
    }

    /// SO_ERROR.
    public func takeError(of connection: SocketHandle) -> Errno? {
        network.state.withLock { state in state[state.socket(connection)].error.take() }
    }

    /// Lends bytes from a buffer that the next `receive` or `wait` overwrites.
    public func receive(from connection: SocketHandle, limit: Int) -> ReceiveOutcome {
        buffer.takeBack()
        let room = min(limit, buffer.capacity)
        let received = network.state.withLock { state in state.receive(upTo: room, from: state.socket(connection)) }
        switch received {
        // A short read is a drained socket, epoll(7): what a fault held back comes with an edge of its own.
        case .bytes(let bytes): return .bytes(buffer.lend(bytes, drained: bytes.count < room))
        case .wouldBlock: return .wouldBlock
        case .end: return .endOfStream
        case .failed(let errno): return .failed(errno)
        }
    }

    /// What has arrived.
    public func waitingByteCount(of connection: SocketHandle) -> Int? {
        network.state.withLock { state in state[state.socket(connection)].received.count }
    }

    /// Offers bytes to the simulated send buffer.
    public func send(_ bytes: UnsafeRawBufferPointer, to connection: SocketHandle) -> SendOutcome {
        send(unsafe Array(bytes), to: connection)
    }

    /// Offers the pieces in order, as one send: a cut may fall anywhere.
    public func send(_ pieces: borrowing SendPieces, to connection: SocketHandle) -> SendOutcome {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(pieces.byteCount)
        for index in 0..<pieces.count { unsafe bytes.append(contentsOf: pieces[index]) }
        return send(bytes, to: connection)
    }

    private func send(_ bytes: [UInt8], to connection: SocketHandle) -> SendOutcome {
        network.state.withLock { state in state.send(bytes, from: state.socket(connection)) }
    }

    /// shutdown(2) of the writing side.
    public func shutdownWrites(of connection: SocketHandle) {
        network.state.withLock { state in state.shutdownWrites(of: state.socket(connection)) }
    }

    /// close(2).
    public func close(_ socket: SocketHandle, reset: Bool) {
        network.state.withLock { $0.closeDescriptor(socket, reset: reset) }
    }

    /// getsockname(2); the address that the client connected to.
    public func localAddress(of socket: SocketHandle) -> SocketAddress? {
        network.state.withLock { $0.localAddress(of: socket) }
    }

    /// Keeps the value, without effect; EINVAL when the connection was reset, as setsockopt(2) has it.
    public func set(_ option: SocketOptionName, _ value: Int32, on socket: SocketHandle) throws(Errno) {
        try network.state.withLock { state throws(Errno) in
            let id = state.optionsKey(of: socket)
            // Of a UDP socket there is nothing to break.
            guard id.slot < 0 || !state[id].isBroken else { throw .invalidArgument }
            state.options[id, default: [:]][option] = value
        }
    }

    /// The value that was kept; at first TCP_NODELAY is on and all else 0.
    public func value(of option: SocketOptionName, on socket: SocketHandle) throws(Errno) -> Int32 {
        network.state.withLock { state in
            state.options[state.optionsKey(of: socket)]?[option] ?? (option == .noDelay ? 1 : 0)
        }
    }
}
