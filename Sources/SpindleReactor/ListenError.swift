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
            case .addressInUse: "; another program has the port: choose another, or stop that one (ss -lntup)"
            case .accessDenied: "; ports below 1024 need CAP_NET_BIND_SERVICE"
            case .addressNotAvailable: "; `ip address` shows this machine's addresses"
            case .tooManyFiles: "; raise RLIMIT_NOFILE (ulimit -n)"
            default: ""
            }
        return "cannot listen on \(address): \(errno)\(advice)"
    }
}
