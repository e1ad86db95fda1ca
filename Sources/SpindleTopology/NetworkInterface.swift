// SPDX-License-Identifier: Apache-2.0

/// A network interface and the NUMA node that its hardware hangs on (`/sys/class/net/*`).
public struct NetworkInterface: Sendable, Equatable {
    /// The kernel's name, e.g. "eth0".
    public let name: String
    /// The node of its device; nil when it has no device, or the firmware does not say (-1, usual in virtual machines).
    public let node: Int?
    /// Whether it has no hardware of its own: loopback, bridge, bond, VLAN, veth, tunnel.
    public let isVirtual: Bool
    /// The interfaces that it stands on (the slaves of a bond, the carrier of a VLAN), sorted by name.
    public let lowerInterfaces: [String]

    /// An interface.
    public init(name: String, node: Int?, isVirtual: Bool = false, lowerInterfaces: [String] = []) {
        self.name = name
        self.node = node
        self.isVirtual = isVirtual
        self.lowerInterfaces = lowerInterfaces
    }
}
