// SPDX-License-Identifier: Apache-2.0

#if !os(Linux)
    #error("Spindle runs on Linux only: it is built on epoll(7), eventfd(2) and SO_REUSEPORT.")
#endif

/// The number with which Linux says why a system call failed.
///
/// A value, never the thread-local variable: the C shim returns it. Source: errno(3).
public struct Errno: RawRepresentable, Error, Hashable, Sendable {
    /// The number, positive: 11 for EAGAIN.
    public let rawValue: Int32

    /// Wraps a positive error number; any number is accepted.
    public init(rawValue: Int32) { self.rawValue = rawValue }

    // The numbers are those of the kernel's asm-generic tables, which x86-64, Arm and RISC-V share.
    /// Operation not permitted: a firewall rule or a sandbox refused it.
    public static var notPermitted: Errno { Errno(rawValue: 1) }
    /// No such file or folder.
    public static var noSuchFile: Errno { Errno(rawValue: 2) }
    /// No such process or thread.
    public static var noSuchProcess: Errno { Errno(rawValue: 3) }
    /// A signal arrived first.
    public static var interrupted: Errno { Errno(rawValue: 4) }
    /// EIO.
    public static var inputOutput: Errno { Errno(rawValue: 5) }
    /// Bad descriptor.
    public static var badDescriptor: Errno { Errno(rawValue: 9) }
    /// Nothing to read, or no room to write, now.
    public static var wouldBlock: Errno { Errno(rawValue: 11) }
    /// Out of memory.
    public static var noMemory: Errno { Errno(rawValue: 12) }
    /// Permission denied, as for a port below 1024.
    public static var accessDenied: Errno { Errno(rawValue: 13) }
    /// The file exists already.
    public static var fileExists: Errno { Errno(rawValue: 17) }
    /// No such device, as for an interface name.
    public static var noDevice: Errno { Errno(rawValue: 19) }
    /// Invalid argument.
    public static var invalidArgument: Errno { Errno(rawValue: 22) }
    /// The system's table of open files is full (ENFILE).
    public static var tooManyFilesInSystem: Errno { Errno(rawValue: 23) }
    /// The process's table of open files is full (EMFILE).
    public static var tooManyFiles: Errno { Errno(rawValue: 24) }
    /// The peer no longer reads.
    public static var brokenPipe: Errno { Errno(rawValue: 32) }
    /// The name is too long (ENAMETOOLONG).
    public static var nameTooLong: Errno { Errno(rawValue: 36) }
    /// The kernel has no such call (ENOSYS).
    public static var notImplemented: Errno { Errno(rawValue: 38) }
    /// Protocol error.
    public static var protocolError: Errno { Errno(rawValue: 71) }
    /// Not a socket.
    public static var notSocket: Errno { Errno(rawValue: 88) }
    /// The option or operation is not supported (EOPNOTSUPP).
    public static var notSupported: Errno { Errno(rawValue: 95) }
    /// EMSGSIZE.
    public static var messageTooLong: Errno { Errno(rawValue: 90) }
    /// The socket has no such option (ENOPROTOOPT).
    public static var noProtocolOption: Errno { Errno(rawValue: 92) }
    /// The address is in use.
    public static var addressInUse: Errno { Errno(rawValue: 98) }
    /// The address does not belong to this machine.
    public static var addressNotAvailable: Errno { Errno(rawValue: 99) }
    /// The network is unreachable.
    public static var networkUnreachable: Errno { Errno(rawValue: 101) }
    /// The connection was aborted before accept(2) took it.
    public static var connectionAborted: Errno { Errno(rawValue: 103) }
    /// The peer reset the connection.
    public static var connectionReset: Errno { Errno(rawValue: 104) }
    /// The kernel is out of buffers (ENOBUFS).
    public static var noBufferSpace: Errno { Errno(rawValue: 105) }
    /// The socket is not connected.
    public static var notConnected: Errno { Errno(rawValue: 107) }
    /// The connection timed out.
    public static var timedOut: Errno { Errno(rawValue: 110) }
    /// The peer refused the connection.
    public static var connectionRefused: Errno { Errno(rawValue: 111) }
    /// No route to the host.
    public static var hostUnreachable: Errno { Errno(rawValue: 113) }
    /// The connection attempt goes on.
    public static var inProgress: Errno { Errno(rawValue: 115) }

    private static let names: [Int32: (name: String, meaning: String)] = [
        1: ("EPERM", "operation not permitted"), 2: ("ENOENT", "no such file"),
        3: ("ESRCH", "no such process"), 4: ("EINTR", "interrupted by a signal"),
        9: ("EBADF", "bad descriptor"), 11: ("EAGAIN", "would block"), 12: ("ENOMEM", "out of memory"),
        13: ("EACCES", "permission denied"), 17: ("EEXIST", "exists already"), 19: ("ENODEV", "no such device"),
        20: ("ENOTDIR", "not a folder"), 21: ("EISDIR", "a folder, not a file"),
        22: ("EINVAL", "invalid argument"), 23: ("ENFILE", "the system has too many open files"),
        24: ("EMFILE", "the process has too many open files"), 28: ("ENOSPC", "no space left"),
        32: ("EPIPE", "the peer no longer reads"), 36: ("ENAMETOOLONG", "the name is too long"),
        38: ("ENOSYS", "the kernel has no such call"),
        71: ("EPROTO", "protocol error"), 88: ("ENOTSOCK", "not a socket"),
        92: ("ENOPROTOOPT", "the socket has no such option"), 95: ("EOPNOTSUPP", "not supported"),
        98: ("EADDRINUSE", "address in use"), 99: ("EADDRNOTAVAIL", "not an address of this machine"),
        97: ("EAFNOSUPPORT", "address family not supported"), 101: ("ENETUNREACH", "network unreachable"),
        103: ("ECONNABORTED", "connection aborted"), 104: ("ECONNRESET", "connection reset by the peer"),
        105: ("ENOBUFS", "no buffer space"), 107: ("ENOTCONN", "not connected"), 110: ("ETIMEDOUT", "timed out"),
        111: ("ECONNREFUSED", "connection refused"), 113: ("EHOSTUNREACH", "no route to the host"),
        115: ("EINPROGRESS", "in progress"),
    ]
}

extension Errno: CustomStringConvertible {
    /// Name and meaning, as in `EADDRINUSE (98): address in use`.
    public var description: String {
        guard let entry = Errno.names[rawValue] else { return "errno \(rawValue)" }
        return "\(entry.name) (\(rawValue)): \(entry.meaning)"
    }
}
