// SPDX-License-Identifier: Apache-2.0

public import CLinux
public import Glibc
public import SpindleCore

/// A non-blocking stream socket, TCP or Unix, as a number that its owner closes.
///
/// Not an owning type: the connection table owns thousands of these and closes each when its budget says so.
public struct StreamSocket: Equatable, Sendable {
    /// The kernel's number.
    public let descriptor: CInt

    /// Wraps a socket that is open.
    @inlinable public init(descriptor: CInt) { self.descriptor = descriptor }

    /// What recv(2) or send(2) did.
    public enum Transfer: Equatable {
        /// That many bytes, at least 1 (for sending, 0 only when nothing was given).
        case bytes(Int)
        /// The peer sends no more.
        case end
        /// Not now.
        case wouldBlock
        /// The connection is broken.
        case failed(Errno)
    }

    /// The options that are one integer. socket(7), tcp(7), ipv6(7).
    package enum Option {
        case reuseAddress, reusePort, urgentInline, keepAlive, noDelay, onlyIPv6, busyPoll, sendBuffer, receiveBuffer
        /// The port is chosen by `connect`, which knows the destination, and not by `bind`. ip(7).
        case bindAddressNoPort

        fileprivate var raw: CInt {
            switch self {
            case .reuseAddress: CInt(CL_REUSEADDR)
            case .reusePort: CInt(CL_REUSEPORT)
            case .urgentInline: CInt(CL_OOBINLINE)
            case .keepAlive: CInt(CL_KEEPALIVE)
            case .noDelay: CInt(CL_NODELAY)
            case .onlyIPv6: CInt(CL_V6ONLY)
            case .busyPoll: CInt(CL_BUSY_POLL)
            case .sendBuffer: CInt(CL_SEND_BUFFER)
            case .receiveBuffer: CInt(CL_RECEIVE_BUFFER)
            case .bindAddressNoPort: CInt(CL_BIND_ADDRESS_NO_PORT)
            }
        }
    }

    /// socket(2), non-blocking and close-on-exec, of the address's family.
    package static func open(for address: SocketAddress) throws(Errno) -> StreamSocket {
        StreamSocket(descriptor: try checked(cl_stream_socket(CInt(address.raw.family))))
    }

    /// close(2).
    package func close() { Descriptor.close(descriptor) }

    /// Makes `close` send a reset and drop what is unsent (SO_LINGER with time 0).
    package func resetOnClose() { _ = cl_reset_on_close(descriptor) }

    /// bind(2).
    package func bind(to address: SocketAddress) throws(Errno) {
        try address.checkLength()
        var raw = address.raw
        try checked(unsafe cl_bind(descriptor, &raw))
    }

    /// listen(2); the kernel clamps `backlog` to net.core.somaxconn.
    package func listen(backlog: Int) throws(Errno) {
        try checked(cl_listen(descriptor, CInt(clamping: backlog)))
    }

    /// connect(2). EINPROGRESS is success: writability or an error follows as an event. EAGAIN is a Unix socket whose
    /// queue is full.
    package func connect(to address: SocketAddress) throws(Errno) {
        try address.checkLength()
        var raw = address.raw
        let result = unsafe cl_connect(descriptor, &raw)
        if result < 0, result != -EINPROGRESS { throw Errno(rawValue: -result) }
    }

    /// accept4(2), non-blocking and close-on-exec.
    package func accept() throws(Errno) -> (socket: StreamSocket, peer: SocketAddress) {
        var raw = cl_address()
        let socket = StreamSocket(descriptor: try checked(unsafe cl_accept(descriptor, &raw)))
        return (socket, SocketAddress(raw) ?? .anyIPv4(port: 0))
    }

    /// getsockname(2).
    package func localAddress() throws(Errno) -> SocketAddress {
        var raw = cl_address()
        try checked(unsafe cl_local_address(descriptor, &raw))
        return SocketAddress(raw) ?? .anyIPv4(port: 0)
    }

    /// getpeername(2).
    package func peerAddress() throws(Errno) -> SocketAddress {
        var raw = cl_address()
        try checked(unsafe cl_peer_address(descriptor, &raw))
        return SocketAddress(raw) ?? .anyIPv4(port: 0)
    }

    /// SO_PEERCRED; nil when this is no Unix socket.
    package var peerCredentials: PeerCredentials? {
        var numbers: (UInt32, UInt32, UInt32) = (0, 0, 0)
        let result = unsafe withUnsafeMutableBytes(of: &numbers) {
            unsafe cl_peer_credentials(descriptor, $0.baseAddress?.assumingMemoryBound(to: UInt32.self))
        }
        // A TCP socket has them too: of nobody.
        guard result == 0, numbers.0 > 0 else { return nil }
        return PeerCredentials(process: numbers.0, user: numbers.1, group: numbers.2)
    }

    /// F_DUPFD_CLOEXEC: another number for the same socket. fcntl(2).
    package func duplicate() throws(Errno) -> StreamSocket {
        StreamSocket(descriptor: try checked(cl_duplicate(descriptor)))
    }

    /// recv(2) into `buffer`, which has at least 1 byte.
    @inlinable @inline(__always) public func receive(into buffer: UnsafeMutableRawBufferPointer) -> Transfer {
        while true {
            let result = unsafe cl_receive(descriptor, buffer.baseAddress, buffer.count)
            if result > 0 { return .bytes(result) }
            if result == 0 { return .end }
            if result == -Int(EAGAIN) { return .wouldBlock }
            if result != -Int(EINTR) { return .failed(Errno(rawValue: Int32(-result))) }
        }
    }

    /// send(2) without SIGPIPE.
    @inlinable @inline(__always) public func send(_ bytes: UnsafeRawBufferPointer) -> Transfer {
        while true {
            let result = unsafe cl_send(descriptor, bytes.baseAddress, bytes.count)
            if result >= 0 { return .bytes(result) }
            if let transfer = StreamSocket.refused(result) { return transfer }
        }
    }

    /// sendmsg(2) of the pieces without SIGPIPE; at most IOV_MAX (1024) of them.
    @inlinable public func send(_ pieces: UnsafeMutableBufferPointer<SendPiece>) -> Transfer {
        // A `SendPiece` has the layout of an iovec: address, length.
        let vector = unsafe UnsafeMutableRawPointer(pieces.baseAddress)?.assumingMemoryBound(to: cl_piece.self)
        while true {
            let result = unsafe cl_send_vector(descriptor, vector, pieces.count)
            if result >= 0 { return .bytes(result) }
            if let transfer = StreamSocket.refused(result) { return transfer }
        }
    }

    /// Nil asks for another try, after a signal.
    @inline(never) @usableFromInline static func refused(_ result: Int) -> Transfer? {
        switch Errno(rawValue: Int32(-result)) {
        case .interrupted: return nil
        case .wouldBlock: return .wouldBlock
        case let errno: return .failed(errno)
        }
    }

    /// shutdown(2) of the writing side. ENOTCONN (the peer reset) is left to the next read to report.
    package func shutdownWrites() { _ = cl_shutdown_writes(descriptor) }

    /// setsockopt(2).
    package func set(_ option: Option, _ value: Int) throws(Errno) {
        try checked(cl_set_option(descriptor, option.raw, CInt(clamping: value)))
    }

    /// getsockopt(2); 0 when the socket can't tell.
    package func value(of option: Option) -> Int { (try? value(ofRaw: option.raw)).map { Int($0) } ?? 0 }

    func value(ofRaw option: CInt) throws(Errno) -> CInt {
        var value: CInt = 0
        try checked(unsafe cl_get_option(descriptor, option, &value))
        return value
    }

    /// FIONREAD: the bytes that a receive would give now. Nil when the socket can't tell.
    package var waitingByteCount: Int? {
        let count = cl_waiting_bytes(descriptor)
        return count >= 0 ? Int(count) : nil
    }

    /// SO_ERROR: the error that waits on the socket, cleared by reading it; nil for none.
    package func takeError() -> Errno? {
        do throws(Errno) {
            let code = try value(ofRaw: CInt(CL_ERROR))
            return code == 0 ? nil : Errno(rawValue: code)
        } catch { return error }
    }

    /// SO_BINDTODEVICE: only packets of the interface `name`; needs CAP_NET_RAW on old kernels.
    package func bindToInterface(_ name: String) throws(Errno) {
        try checked(unsafe cl_bind_to_interface(descriptor, name))
    }

    /// SO_ATTACH_REUSEPORT_CBPF: the program chooses which socket of the group gets a connection. socket(7).
    package func attachReuseportFilter(_ program: [FilterInstruction]) throws(Errno) {
        let raw = program.map {
            cl_filter(code: $0.code, jump_true: $0.jumpTrue, jump_false: $0.jumpFalse, constant: $0.constant)
        }
        try checked(
            unsafe raw.withUnsafeBufferPointer {
                unsafe cl_attach_reuseport_filter(descriptor, $0.baseAddress, CInt($0.count))
            }
        )
    }
}

/// One piece of a vectored send: readv(2)'s iovec, without letting C's type out of this layer.
@safe public struct SendPiece {
    /// The first byte.
    public var base: UnsafeRawPointer?
    /// How many.
    public var byteCount: Int

    /// A piece; whoever sends it keeps the memory alive.
    @inlinable public init(base: UnsafeRawPointer?, byteCount: Int) {
        unsafe self.base = unsafe base
        self.byteCount = byteCount
    }
}

/// One instruction of classic BPF. bpf(2), Documentation/networking/filter.rst of the kernel.
package struct FilterInstruction: Equatable, Sendable {
    package let code: UInt16
    package let jumpTrue: UInt8
    package let jumpFalse: UInt8
    package let constant: UInt32

    package init(code: UInt16, jumpTrue: UInt8 = 0, jumpFalse: UInt8 = 0, constant: UInt32) {
        self.code = code
        self.jumpTrue = jumpTrue
        self.jumpFalse = jumpFalse
        self.constant = constant
    }
}
