// SPDX-License-Identifier: Apache-2.0

public import SpindleCore

/// An address cannot be listened on.
public struct ListenError: Error, CustomStringConvertible, Equatable {
    /// The address that was asked for.
    public let address: SocketAddress
    /// The kernel's reason.
    public let errno: Errno
    /// The option of the socket that was refused; nil when it was something else.
    public let option: SocketOptionName?

    /// For endpoints of your own.
    public init(address: SocketAddress, errno: Errno, option: SocketOptionName? = nil) {
        self.address = address
        self.errno = errno
        self.option = option
    }

    /// The address, the reason, and what to do about it.
    public var description: String {
        if let option { return "cannot listen on \(address): \(SocketOptionError(option, errno))" }
        let advice =
            switch errno {
            case .addressInUse where address.isUnix: "; another program listens there (ss -lxp)"
            case .fileExists: "; the file is no socket: choose another name, or remove it"
            case .noSuchFile: "; make the folder"
            case .nameTooLong: "; the name of a Unix socket has at most 107 bytes: choose a shorter path"
            case .accessDenied where address.isUnix: "; the folder belongs to somebody else"
            case .addressInUse: "; another program has the port: choose another, or stop that one (ss -ltnp)"
            case .accessDenied: "; ports below 1024 need CAP_NET_BIND_SERVICE"
            case .addressNotAvailable: "; `ip address` shows this machine's addresses"
            case .tooManyFiles: "; raise RLIMIT_NOFILE (ulimit -n)"
            default: ""
            }
        return "cannot listen on \(address): \(errno)\(advice)"
    }
}

/// An engine cannot be started.
public enum StartError: Error, CustomStringConvertible {
    /// It runs already, or is stopping.
    case alreadyRunning
    /// A reactor's thread or driver could not be made.
    case reactor(index: Int, errno: Errno)
    /// The process has no descriptor or thread left for the engine itself.
    case noResources(Errno)
    /// Another engine of this process runs with `run`, which has the signals.
    case signalsTaken
    /// A sharded service's instance could not be made.
    case service(shard: Int, any Error)
    /// The process may not become the configured user.
    case owner(user: String, Errno)
    /// `maximumConnections` needs more descriptors than the process may have.
    case descriptors(wanted: Int, hardLimit: UInt64)

    /// What is wrong, and what to do about it.
    public var description: String {
        switch self {
        case .alreadyRunning: "the engine runs already"
        case .reactor(let index, let errno): "reactor \(index) cannot be started: \(errno)"
        case .noResources(let errno):
            "the engine cannot be started: \(errno); raise the limits on descriptors and threads (ulimit -n, -u)"
        case .signalsTaken:
            "another engine of this process has the signals (`run`); use `start` and `stop` for this one"
        case .service(let shard, let error): "a service could not be made on reactor \(shard): \(error)"
        case .owner(let user, let errno):
            "the process cannot become user \(user): \(errno); start it as root, or leave out --user and --group"
        case .descriptors(let wanted, let hardLimit):
            "\(wanted) connections per reactor need more descriptors than RLIMIT_NOFILE's hard limit of \(hardLimit); "
                + "raise it (ulimit -Hn) or lower --max-connections"
        }
    }
}
