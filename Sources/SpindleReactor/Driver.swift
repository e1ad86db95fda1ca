// SPDX-License-Identifier: Apache-2.0

public import SpindleCore

/// A socket as a driver numbers it: a descriptor for the epoll driver, an index for the simulated one.
public struct SocketHandle: Hashable, Sendable {
    /// The driver's number.
    public let rawValue: Int32
    /// The socket that the driver numbers so.
    public init(rawValue: Int32) { self.rawValue = rawValue }
}

/// What a driver has to say about one registration.
public struct DriverEvent: Sendable {
    /// The token that the registration was made with.
    public let token: EventToken
    /// What became possible or happened since the last event.
    public let readiness: Readiness

    /// An event for the registration of `token`.
    public init(token: EventToken, readiness: Readiness) {
        self.token = token
        self.readiness = readiness
    }
}

/// What became possible or happened on a socket. Reported once, on the edge. epoll(7), whose order of bits this is.
public struct Readiness: OptionSet, Sendable {
    /// The bits.
    public let rawValue: UInt8
    /// The set of these bits.
    public init(rawValue: UInt8) { self.rawValue = rawValue }

    /// Bytes, or connections, can be had.
    public static let readable = Readiness(rawValue: 1)
    /// There is room to write again.
    public static let writable = Readiness(rawValue: 4)
    /// The peer sends no more; what it sent can still be read.
    public static let peerClosed = Readiness(rawValue: 32)
    /// Both directions are over; what came in can still be read.
    public static let hangUp = Readiness(rawValue: 16)
    /// The connection is broken.
    public static let error = Readiness(rawValue: 8)
    /// Urgent data came or is announced; it is read in line, and reads stop at its mark. tcp(7).
    public static let urgent = Readiness(rawValue: 2)

    /// After these no further edge comes: the socket must be read to its end.
    static let final: Readiness = [.peerClosed, .hangUp, .error]
    static let input: Readiness = [.readable, .peerClosed, .hangUp, .error, .urgent]
    /// Bytes have come, and nothing else has happened than that they may be answered.
    var isPlainInput: Bool { self == .readable || self == [.readable, .writable] }
}

/// What asking for bytes gave.
public enum ReceiveOutcome {
    /// Bytes, lent by the driver until the next call of any of its methods.
    case bytes(LentBytes)
    /// None now; an event follows.
    case wouldBlock
    /// The peer sends no more.
    case endOfStream
    /// The connection is broken.
    case failed(Errno)
}

/// Bytes in a driver's memory. Whoever holds them must be done before the driver is called again.
@safe public struct LentBytes {
    @usableFromInline let pointer: UnsafeBufferPointer<UInt8>
    /// True when the driver knows that no more bytes wait (a short read, epoll(7)).
    let drained: Bool

    /// - Parameters:
    ///   - pointer: At least 1 byte, valid until the driver's next call.
    ///   - drained: True when no more bytes wait and an event will tell of the next.
    @unsafe public init(_ pointer: UnsafeBufferPointer<UInt8>, drained: Bool) {
        unsafe self.pointer = unsafe pointer
        self.drained = drained
    }
}

/// What sending did.
public enum SendOutcome: Equatable {
    /// So many bytes were taken, fewer than offered when the socket is full now.
    case sent(Int)
    /// None was taken: full; an event follows.
    case wouldBlock
    /// The connection is broken.
    case failed(Errno)
}

/// Why a connection can't even be begun.
public enum ConnectRefusal: Error, Equatable {
    /// What socket(2), bind(2) or connect(2) say.
    case system(Errno)
    /// One of the options is refused.
    case option(SocketOptionError)

    var reason: DisconnectReason {
        switch self {
        case .system(let errno): .lost(errno)
        case .option(let error): .failed(error)
        }
    }
}

/// What asking for a connection gave.
public enum AcceptOutcome {
    /// A connection and its peer.
    case accepted(SocketHandle, peer: SocketAddress)
    /// None waits; an event follows.
    case wouldBlock
    /// The kernel's refusal; what to do is `AcceptPolicy`'s business.
    case failed(Errno)
}

/// Wakes a reactor out of its wait. From any thread.
public protocol DriverWaker: AnyObject, Sendable {
    /// Ends the present wait, or the next one at once.
    func wake()
}

/// The seam between a reactor and a kernel: waits, moves bytes when asked, knows the time.
///
/// One object per reactor, used on its thread only. Reactor, connections, timers and mailboxes cannot tell which
/// driver they run on, and contract tests hold every driver to the same behaviour. Events are edges: a driver
/// reports a change once and the reactor remembers what it left undone.
public protocol Driver: AnyObject {
    /// What other threads wake this driver with.
    var waker: any DriverWaker { get }

    /// The time now, on the clock that timers follow.
    func now() -> MonotonicInstant

    /// Called once on the reactor's thread before anything else: allocate here what should lie near.
    func start()

    /// Waits for events or until the timeout has passed, and replaces the contents of `events`.
    ///
    /// - Parameters:
    ///   - timeout: Nanoseconds; 0 only polls, negative waits for ever. Ending early is allowed.
    ///   - events: Gets the events, as many as it has room for; the others stay for the next wait.
    func wait(timeout: Int64, into events: inout EventBuffer)

    /// Reports incoming connections of a listening socket with `token`. Of one that is shared other drivers watch the
    /// same queue by numbers of their own: not all of them need to be told.
    func watch(listener: SocketHandle, token: EventToken, isShared: Bool) throws(Errno)

    /// Closes a listening socket that is watched; a shared queue goes on for the others.
    func close(listener: SocketHandle)

    /// Takes one connection from a listening socket.
    func accept(from listener: SocketHandle) -> AcceptOutcome

    /// When descriptors ran out: takes one waiting connection and closes it, with a descriptor held in reserve.
    ///
    /// - Returns: False when that was not possible; the reactor then lets the listener rest for a while.
    func shed(from listener: SocketHandle) -> Bool

    /// Reports events of a connection with `token`, from now on, reading and writing together.
    func watch(connection: SocketHandle, token: EventToken) throws(Errno)

    /// Reports nothing of a connection any more, and gives it up: another driver of this kind will have it.
    func release(_ connection: SocketHandle) -> TravellingSocket

    /// Begins a connection to `address`, with its `settings`; writability or an error follows as an event once it is
    /// watched.
    func connect(
        to address: SocketAddress,
        from local: SocketAddress?,
        settings: [SocketSetting]
    ) throws(ConnectRefusal) -> SocketHandle

    /// Takes a connected stream socket that somebody else has opened: the driver's own number for it, which is
    /// closed when nobody takes it, and its peer.
    func adopt(connection descriptor: Int32) throws(AdoptError) -> (socket: TravellingSocket, peer: SocketAddress)

    /// Reports with `token` whenever the descriptor is ready, not on the edge but for as long as it is.
    func watch(descriptor: Int32, for readiness: Readiness, token: EventToken) throws(Errno)

    /// Changes what is reported of a watched descriptor.
    func change(descriptor: Int32, to readiness: Readiness, token: EventToken) throws(Errno)

    /// Reports nothing of it any more. One that was closed meanwhile is none of ours.
    func unwatch(descriptor: Int32)

    /// The error that waits on the socket, which this call clears; nil for none.
    func takeError(of connection: SocketHandle) -> Errno?

    /// Lends bytes that came in, at most `limit` (at least 1).
    func receive(from connection: SocketHandle, limit: Int) -> ReceiveOutcome

    /// As `receive`, from a Unix socket: descriptors that the peer passed along are added to `passed`.
    func receive(from connection: SocketHandle, limit: Int, passed: inout PassedDescriptors) -> ReceiveOutcome

    /// The bytes that a receive would give now; nil when the driver can't tell.
    func waitingByteCount(of connection: SocketHandle) -> Int?

    /// Offers bytes. Non-empty.
    func send(_ bytes: UnsafeRawBufferPointer, to connection: SocketHandle) -> SendOutcome

    /// Offers several pieces in one call. Non-empty, at most 64 of them.
    func send(_ pieces: borrowing SendPieces, to connection: SocketHandle) -> SendOutcome

    /// Offers bytes that stay where they are, and as they are, until their send is completed: the kernel sends them
    /// from there. Non-empty.
    ///
    /// - Returns: Nil when this socket can't, or not now: to be sent in the usual way. What was taken is completed
    ///   later; an error event tells of it.
    func sendInPlace(_ bytes: UnsafeRawBufferPointer, to connection: SocketHandle) -> SendOutcome?

    /// Prepares a socket for `sendInPlace`: false when it can't.
    func enableSendsInPlace(of connection: SocketHandle) -> Bool

    /// Has the sends of `sendInPlace` completed that are.
    func takeCompletions(of connection: SocketHandle, _ sends: inout SendsInPlace)

    /// As `send` of pieces, over a Unix socket; the descriptors travel with the first byte.
    func send(
        _ pieces: borrowing SendPieces,
        passing descriptors: [PassedDescriptor],
        to connection: SocketHandle
    ) -> SendOutcome

    /// Offers the first bytes of a file's region.
    ///
    /// - Parameters:
    ///   - region: Where in which file they are.
    ///   - count: How many, at least 1.
    ///   - descriptors: Travel with the first byte, over a Unix socket; mostly none.
    ///   - connection: Where they go.
    func send(
        _ region: FileRegion,
        count: Int,
        passing descriptors: [PassedDescriptor],
        to connection: SocketHandle
    ) -> FileSendOutcome

    /// Another number for an open file, to be passed.
    func duplicate(descriptor: Int32) throws(PassingError) -> PassedDescriptor

    /// Tells the peer that no more comes.
    func shutdownWrites(of connection: SocketHandle)

    /// Closes any socket of this driver; with `reset`, the peer sees a reset and unsent bytes are dropped.
    func close(_ socket: SocketHandle, reset: Bool)

    /// This end's address.
    func localAddress(of socket: SocketHandle) -> SocketAddress?

    /// Who opened the other end of a Unix socket.
    func peerCredentials(of connection: SocketHandle) -> PeerCredentials?

    /// Sets an option of any socket of this driver.
    func set(_ option: SocketOptionName, _ value: Int32, on socket: SocketHandle) throws(Errno)
    /// The option's present value.
    func value(of option: SocketOptionName, on socket: SocketHandle) throws(Errno) -> Int32
}

/// How a listening socket is made.
public struct ListenOptions: Sendable, Equatable {
    /// Several sockets share the port, one per reactor (SO_REUSEPORT).
    public var sharedPort = false
    /// Fail when somebody else, sharing or not, has the port already.
    public var exclusive = true
    /// `::` takes IPv4 too (IPV6_V6ONLY off).
    public var dualStack = true
    /// Only packets of this interface (SO_BINDTODEVICE).
    public var interface: String?
    /// The permissions of a Unix socket's file, as 0o660; nil leaves them to the umask.
    public var unixMode: UInt32?
    /// SO_BUSY_POLL in microseconds; nil leaves it alone. A refusal is none here.
    public var busyPollMicroseconds: Int?
    /// Options of the listening sockets, set before they listen; connections have most of them from there.
    public var settings: [SocketSetting] = []

    /// The defaults above.
    public init() {}
}

extension Driver {
    /// Refused: for drivers without a kernel.
    public func adopt(connection descriptor: Int32) throws(AdoptError) -> (
        socket: TravellingSocket, peer: SocketAddress
    ) {
        throw AdoptError(descriptor: descriptor, reason: "this driver has no kernel")
    }
    /// Refused with EOPNOTSUPP: for drivers without a kernel.
    public func watch(descriptor: Int32, for readiness: Readiness, token: EventToken) throws(Errno) {
        throw .notSupported
    }
    /// Refused with EOPNOTSUPP: for drivers without a kernel.
    public func change(descriptor: Int32, to readiness: Readiness, token: EventToken) throws(Errno) {
        throw .notSupported
    }
    /// Does nothing: for drivers without a kernel.
    public func unwatch(descriptor: Int32) {}
    /// As without descriptors: for drivers whose sockets can't pass them.
    public func receive(
        from connection: SocketHandle,
        limit: Int,
        passed: inout PassedDescriptors
    ) -> ReceiveOutcome {
        receive(from: connection, limit: limit)
    }
    /// Nil.
    public func waitingByteCount(of connection: SocketHandle) -> Int? { nil }
    /// False: for drivers without a kernel.
    public func enableSendsInPlace(of connection: SocketHandle) -> Bool { false }
    /// Nil: for drivers without a kernel.
    public func sendInPlace(_ bytes: UnsafeRawBufferPointer, to connection: SocketHandle) -> SendOutcome? { nil }
    /// Does nothing.
    public func takeCompletions(of connection: SocketHandle, _ sends: inout SendsInPlace) {}
    /// As without descriptors: for drivers whose sockets can't pass them.
    public func send(
        _ pieces: borrowing SendPieces,
        passing descriptors: [PassedDescriptor],
        to connection: SocketHandle
    ) -> SendOutcome {
        send(pieces, to: connection)
    }
    /// Refused: for drivers without a kernel.
    public func duplicate(descriptor: Int32) throws(PassingError) -> PassedDescriptor {
        throw .refused(descriptor: descriptor, .notSupported)
    }
    /// None: for drivers without Unix sockets.
    public func peerCredentials(of connection: SocketHandle) -> PeerCredentials? { nil }
}

/// Makes the drivers of an engine, and the listening sockets that they share out among them. From any thread.
public protocol DriverProvider: Sendable {
    /// The driver of reactor `index`; called on that reactor's thread.
    func makeDriver(reactor index: Int, configuration: ReactorConfiguration) throws(Errno) -> any Driver

    /// A socket bound to `address`. A Unix socket listens already, any other not yet.
    func bind(_ address: SocketAddress, _ options: ListenOptions) throws(Errno) -> BoundSocket

    /// A number of the provider's own for a listening stream socket that somebody else has opened.
    func adopt(listener descriptor: Int32) throws(AdoptError) -> BoundSocket

    /// Another number for the same socket, for a second reactor to accept from the same queue.
    func duplicate(_ socket: SocketHandle) throws(Errno) -> SocketHandle

    /// Sets an option of a socket that no driver has taken over.
    func set(_ option: SocketOptionName, _ value: Int32, on socket: SocketHandle) throws(Errno)

    /// Lets connections queue up on the socket.
    ///
    /// - Returns: The backlog in force, which the kernel may have clamped.
    func listen(_ socket: SocketHandle, backlog: Int) throws(Errno) -> Int

    /// Lets `program` choose the socket of the group that takes each connection.
    func steer(_ socket: SocketHandle, by program: SteeringProgram) throws(Errno)

    /// Closes a socket that no driver has taken over.
    func close(_ socket: SocketHandle)
}

extension DriverProvider {
    /// EOPNOTSUPP: for providers whose sockets have no options.
    public func set(_ option: SocketOptionName, _ value: Int32, on socket: SocketHandle) throws(Errno) {
        throw .notSupported
    }
    /// Refused: for providers without a kernel.
    public func adopt(listener descriptor: Int32) throws(AdoptError) -> BoundSocket {
        throw AdoptError(descriptor: descriptor, reason: "these drivers have no kernel")
    }
}

/// A socket that has its address.
public struct BoundSocket: Sendable {
    /// The driver's number.
    public let socket: SocketHandle
    /// The address that it got; with the port that the kernel chose.
    public let address: SocketAddress
    /// Kept while anybody accepts there: the file of a Unix socket goes with it.
    public let keeper: (any AnyObject & Sendable)?

    /// What `bind` returns.
    public init(socket: SocketHandle, address: SocketAddress, keeper: (any AnyObject & Sendable)? = nil) {
        self.socket = socket
        self.address = address
        self.keeper = keeper
    }
}

/// How connections are steered to the sockets of a group.
public enum SteeringProgram: Sendable, Equatable {
    /// By the CPU that took the packet: `socketOfCPU[cpu]`, for every CPU of the machine.
    case cpu(socketOfCPU: [Int])
    /// By the client's source port, modulo the number of sockets.
    case sourcePort(socketCount: Int)
}
