// SPDX-License-Identifier: Apache-2.0

/// Who opened the other end of a Unix socket, as the kernel saw it then. SO_PEERCRED, unix(7).
public struct PeerCredentials: Sendable, Hashable {
    /// The process's number, which may belong to another one by now.
    public let process: UInt32
    /// The effective user's number.
    public let user: UInt32
    /// The effective group's number.
    public let group: UInt32

    /// For transports of your own.
    public init(process: UInt32, user: UInt32, group: UInt32) {
        self.process = process
        self.user = user
        self.group = group
    }
}
