// SPDX-License-Identifier: Apache-2.0

public import SpindleCore

/// Where a connection of this side is to go.
public enum ConnectTarget: Sendable, Hashable, CustomStringConvertible {
    /// A numeric address or a Unix socket.
    case address(SocketAddress)
    /// A name to look up, whose addresses are tried as RFC 8305 has it; or a numeric address as text.
    case host(String, port: UInt16)

    /// `example.com:80`, `[::1]:80`, `unix:/run/x.sock`.
    public var description: String {
        switch self {
        case .address(let address): "\(address)"
        case .host(let host, let port): host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
        }
    }
}

/// How a connection of this side is made.
public struct ConnectOptions: Sendable, Equatable {
    /// How long it may take in all, the look-up of the name included.
    public var timeout: Duration = .seconds(30)
    /// The address to come from; nil for the kernel's choice. Port 0 lets the kernel choose the port.
    public var localAddress: SocketAddress?
    /// How long an address may keep the next one waiting; more than zero. RFC 8305 §5: 250 ms.
    public var attemptDelay: Duration = .milliseconds(250)

    /// Options of the socket, set before it connects.
    public var settings: [SocketSetting] = []

    /// The defaults above.
    public init() {}
}

/// A connection of this side could not be established.
public struct ConnectError: Error, CustomStringConvertible {
    /// Where it was to go.
    public let target: ConnectTarget
    /// Why it did not: of several addresses that were tried, the last one's reason.
    public let reason: DisconnectReason
    /// What became of each address that was tried, when a name has several.
    public let attempts: [ConnectError]

    package init(_ target: ConnectTarget, _ reason: DisconnectReason, attempts: [ConnectError] = []) {
        self.target = target
        self.reason = reason
        self.attempts = attempts
    }

    /// The target and the reason, or the reasons.
    public var description: String {
        guard attempts.isEmpty else {
            return "cannot connect to \(target): "
                + attempts.map { "\($0.target): \($0.reason)" }.joined(separator: "; ")
        }
        if case .failed(let error as ResolveError) = reason { return "cannot connect to \(target): \(error)" }
        return "cannot connect to \(target): \(reason)"
    }
}
