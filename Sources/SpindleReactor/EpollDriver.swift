// SPDX-License-Identifier: Apache-2.0

package import SpindleCore
internal import SpindleSystem

/// The driver on Linux's epoll, edge-triggered: one `epoll_ctl` per connection in its whole life.
///
/// One 64 KiB receive buffer serves every connection of the reactor, so idle connections own none.
@safe package final class EpollDriver: Driver {
    private final class Waker: DriverWaker {
        let event: EventDescriptor
        init() throws(Errno) { event = try EventDescriptor() }
        func wake() { event.ring() }
    }

    private let eventWaker: Waker
    private let epoll: Epoll
    private let receiveBufferBytes: Int
    private var receiveBuffer: UnsafeMutableRawBufferPointer?
    private let reserve: DescriptorReserve
    private var blocksBrokenPipeSignal = false

    package var waker: any DriverWaker { eventWaker }

    /// - Throws: EMFILE, ENFILE or ENOMEM.
    package init(configuration: ReactorConfiguration, reserve: DescriptorReserve) throws(Errno) {
        epoll = try Epoll(capacity: configuration.eventsPerWait)
        eventWaker = try Waker()
        receiveBufferBytes = configuration.receiveBufferBytes
        self.reserve = reserve
        try epoll.add(eventWaker.event.rawValue, .incoming, token: EventToken.waker.rawValue)
    }

    deinit { unsafe receiveBuffer?.deallocate() }

    package func start() {
        // Allocated by the thread that uses it, so that its pages come from that thread's node.
        if unsafe receiveBuffer == nil {
            unsafe receiveBuffer = .allocate(byteCount: receiveBufferBytes, alignment: 4096)
        }
    }

    package func now() -> MonotonicInstant { SystemClock.now() }

    package func wait(timeout: Int64, into events: inout EventBuffer) {
        let count = epoll.wait(timeout: timeout)
        events.removeAll()
        for index in 0..<count {
            let (bits, rawToken) = epoll.event(at: index)
            let token = EventToken(rawValue: rawToken)
            // The waker's event is an edge each time: its counter is never read, and ending the wait was its job.
            if token == .waker { continue }
            events.append(DriverEvent(token: token, readiness: Readiness(epollBits: bits)))
        }
    }

    package func watch(listener: SocketHandle, token: EventToken, isShared: Bool) throws(Errno) {
        try epoll.add(listener.rawValue, isShared ? .sharedIncoming : .incoming, token: token.rawValue)
    }

    package func close(listener: SocketHandle) {
        // What others hold too is reported until it is removed, closed or not. epoll(7), question 6.
        epoll.remove(listener.rawValue)
        listener.socket.close()
    }

    package func accept(from listener: SocketHandle) -> AcceptOutcome {
        do throws(Errno) {
            let (socket, peer) = try listener.socket.accept()
            // It can only fail on a socket that the peer has broken already; its first read will tell.
            try? EpollDriver.prepare(socket, peer)
            return .accepted(SocketHandle(rawValue: socket.descriptor), peer: peer)
        } catch {
            return error == .wouldBlock ? .wouldBlock : .failed(error)
        }
    }

    /// What every connection over TCP has: small pieces leave at once, and urgent data stays in line.
    private static func prepare(_ socket: StreamSocket, _ peer: SocketAddress) throws(Errno) {
        guard !peer.isUnix else { return }
        try socket.set(.noDelay, 1)
        try socket.set(.urgentInline, 1)
    }

    package func shed(from listener: SocketHandle) -> Bool { reserve.shed(from: listener.socket) }

    package func watch(connection: SocketHandle, token: EventToken) throws(Errno) {
        try epoll.add(connection.rawValue, .stream, token: token.rawValue)
    }

    package func release(_ connection: SocketHandle) -> TravellingSocket {
        epoll.remove(connection.rawValue)
        return TravellingSocket(connection) {
            // What was on its way is lost, and the peer is to know.
            $0.socket.resetOnClose()
            $0.socket.close()
        }
    }

    package func connect(
        to address: SocketAddress,
        from local: SocketAddress?,
        settings: [SocketSetting]
    ) throws(ConnectRefusal) -> SocketHandle {
        let socket: StreamSocket
        do throws(Errno) { socket = try EpollDriver.open(for: address, from: local) } catch { throw .system(error) }
        do throws(SocketOptionError) { try socket.apply(settings) } catch {
            socket.close()
            throw .option(error)
        }
        do throws(Errno) { try socket.connect(to: address) } catch {
            socket.close()
            throw .system(error)
        }
        return SocketHandle(rawValue: socket.descriptor)
    }

    private static func open(for address: SocketAddress, from local: SocketAddress?) throws(Errno) -> StreamSocket {
        let socket = try StreamSocket.open(for: address)
        do throws(Errno) {
            try prepare(socket, address)
            if let local {
                try socket.set(.reuseAddress, 1)
                // Or one source address would have 28,000 ports for all destinations together.
                if local.port == 0 { try? socket.set(.bindAddressNoPort, 1) }
                try socket.bind(to: local)
            }
            return socket
        } catch {
            socket.close()
            throw error
        }
    }

    package func adopt(connection descriptor: Int32) throws(AdoptError) -> (
        socket: TravellingSocket, peer: SocketAddress
    ) {
        do throws(AdoptedSocket.Failure) {
            let (socket, peer) = try AdoptedSocket.take(descriptor, as: .connection)
            try? EpollDriver.prepare(socket, peer)
            return (TravellingSocket(SocketHandle(rawValue: socket.descriptor)) { $0.socket.close() }, peer)
        } catch { throw AdoptError(descriptor, error) }
    }

    package func watch(descriptor: Int32, for readiness: Readiness, token: EventToken) throws(Errno) {
        try epoll.add(descriptor, .level(readiness), token: token.rawValue)
    }

    package func watch(datagrams socket: SocketHandle, token: EventToken) throws(Errno) {
        try epoll.add(socket.rawValue, .incoming, token: token.rawValue)
    }

    package func change(descriptor: Int32, to readiness: Readiness, token: EventToken) throws(Errno) {
        try epoll.rearm(descriptor, .level(readiness), token: token.rawValue)
    }

    package func unwatch(descriptor: Int32) { epoll.removeIfThere(descriptor) }

    package func takeError(of connection: SocketHandle) -> Errno? { connection.socket.takeError() }

    package func receive(from connection: SocketHandle, limit: Int) -> ReceiveOutcome {
        let room = unsafe room(limit)
        return unsafe outcome(of: connection.socket.receive(into: room), room, stopped: false)
    }

    package func receive(
        from connection: SocketHandle,
        limit: Int,
        passed: inout PassedDescriptors
    ) -> ReceiveOutcome {
        let room = unsafe room(limit)
        let transfer = unsafe connection.socket.receive(into: room, &passed)
        return unsafe outcome(of: transfer, room, stopped: passed.haveCome)
    }

    /// The first bytes of the receive buffer.
    @inline(__always)
    private func room(_ limit: Int) -> UnsafeMutableRawBufferPointer {
        guard let buffer = unsafe receiveBuffer else { preconditionFailure("receive before start") }
        return unsafe UnsafeMutableRawBufferPointer(rebasing: buffer[..<min(limit, receiveBufferBytes)])
    }

    /// - Parameter stopped: The receive ended where it had to, whatever may wait behind.
    @inline(__always)
    private func outcome(
        of transfer: StreamSocket.Transfer,
        _ room: UnsafeMutableRawBufferPointer,
        stopped: Bool
    ) -> ReceiveOutcome {
        switch transfer {
        case .bytes(let count):
            let bytes = unsafe UnsafeBufferPointer<UInt8>(
                start: UnsafePointer(room.baseAddress!.assumingMemoryBound(to: UInt8.self)),
                count: count
            )
            return unsafe .bytes(LentBytes(bytes, drained: count < room.count && !stopped))
        case .end: return .endOfStream
        case .wouldBlock: return .wouldBlock
        case .failed(let errno): return .failed(errno)
        }
    }

    package func waitingByteCount(of connection: SocketHandle) -> Int? { connection.socket.waitingByteCount }

    package func send(_ bytes: UnsafeRawBufferPointer, to connection: SocketHandle) -> SendOutcome {
        SendOutcome(unsafe connection.socket.send(bytes))
    }

    package func send(_ pieces: borrowing SendPieces, to connection: SocketHandle) -> SendOutcome {
        SendOutcome(unsafe connection.socket.send(pieces.vector))
    }

    package func send(
        _ pieces: borrowing SendPieces,
        passing descriptors: [PassedDescriptor],
        to connection: SocketHandle
    ) -> SendOutcome {
        SendOutcome(unsafe connection.socket.send(pieces.vector, passing: descriptors.map(\.rawValue)))
    }

    package func send(
        _ region: FileRegion,
        count: Int,
        passing descriptors: [PassedDescriptor],
        to connection: SocketHandle
    ) -> FileSendOutcome {
        guard descriptors.isEmpty else {
            return sendCopy(of: region, count: count, passing: descriptors, to: connection)
        }
        if !blocksBrokenPipeSignal {
            SystemThread.blockBrokenPipeSignal()
            blocksBrokenPipeSignal = true
        }
        return switch connection.socket.send(region, count: count) {
        case .bytes(let sent): .sent(.sent(sent), offered: sent)
        case .wouldBlock: .sent(.wouldBlock, offered: count)
        case .failed(let errno): .sent(.failed(errno), offered: count)
        case .unreadable(let error): .unreadable(error)
        case .unsupported: sendCopy(of: region, count: count, passing: [], to: connection)
        }
    }

    package func sendInPlace(_ bytes: UnsafeRawBufferPointer, to connection: SocketHandle) -> SendOutcome? {
        (unsafe connection.socket.sendInPlace(bytes)).map { SendOutcome($0) }
    }

    package func enableSendsInPlace(of connection: SocketHandle) -> Bool { connection.socket.enableSendsInPlace() }

    package func takeCompletions(of connection: SocketHandle, _ sends: inout SendsInPlace) {
        connection.socket.takeCompletions { sends.complete($0, wereCopied: $1) }
    }

    package func duplicate(descriptor: Int32) throws(PassingError) -> PassedDescriptor {
        try PassedDescriptor.duplicate(of: descriptor)
    }

    package func shutdownWrites(of connection: SocketHandle) { connection.socket.shutdownWrites() }

    package func close(_ socket: SocketHandle, reset: Bool) {
        if reset { socket.socket.resetOnClose() }
        socket.socket.close()
    }

    package func localAddress(of socket: SocketHandle) -> SocketAddress? { try? socket.socket.localAddress() }

    package func peerCredentials(of connection: SocketHandle) -> PeerCredentials? { connection.socket.peerCredentials }

    package func set(_ option: SocketOptionName, _ value: Int32, on socket: SocketHandle) throws(Errno) {
        try socket.socket.set(option, value)
    }

    package func value(of option: SocketOptionName, on socket: SocketHandle) throws(Errno) -> Int32 {
        try socket.socket.value(of: option)
    }
}

extension SocketHandle {
    fileprivate var socket: StreamSocket { StreamSocket(descriptor: rawValue) }
}

extension Epoll.Interest {
    fileprivate static func level(_ readiness: Readiness) -> Epoll.Interest {
        .level(readable: readiness.contains(.readable), writable: readiness.contains(.writable))
    }
}

extension Readiness {
    @inline(__always)
    fileprivate init(epollBits bits: UInt32) {
        // EPOLLIN, PRI, OUT, ERR and HUP are the five lowest bits, as here; EPOLLRDHUP is 0x2000.
        self.init(rawValue: UInt8(truncatingIfNeeded: bits & 0x1F | bits >> 8 & 0x20))
    }
}

extension SendOutcome {
    fileprivate init(_ transfer: StreamSocket.Transfer) {
        switch transfer {
        case .bytes(let count): self = .sent(count)
        case .wouldBlock, .end: self = .wouldBlock
        case .failed(let errno): self = .failed(errno)
        }
    }
}
