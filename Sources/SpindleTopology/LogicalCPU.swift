// SPDX-License-Identifier: Apache-2.0

/// One CPU as the kernel numbers them: a hardware thread of a core.
///
/// Two CPUs with the same `core` are SMT siblings. An offline CPU tells the kernel's id and little else: its
/// topology files vanish when it goes offline, so it counts as a core of its own without node.
public struct LogicalCPU: Sendable, Equatable {
    /// The kernel's number of the CPU, as in `sched_setaffinity(2)`; 0 to `CPUSet.idLimit - 1`.
    public let id: Int
    /// Whether the kernel schedules on it now (`/sys/devices/system/cpu/online`).
    public let isOnline: Bool
    /// Names the physical core: the lowest CPU id on it, so that it is unique on the machine.
    ///
    /// The `core_id` file is not: it repeats in each package, and on some Arm machines in each cluster.
    public let core: Int
    /// The socket (`topology/physical_package_id`), or nil where the firmware does not say.
    public let package: Int?
    /// The die inside the package (`topology/die_id`), or nil.
    public let die: Int?
    /// The cluster of cores that share more than the die (`topology/cluster_id`), or nil.
    public let cluster: Int?
    /// Whether the core is built for speed or for economy.
    public let kind: CoreKind
    /// The highest clock in kHz (`cpufreq/cpuinfo_max_freq`), or nil; virtual machines seldom say.
    public let maximumFrequencyKilohertz: Int?
    /// The NUMA node, as the kernel numbers them; nil only for offline CPUs.
    public let node: Int?
    /// Index into `MachineTopology.l3Groups`, or nil where no L3 cache is known.
    public let l3Group: Int?

    /// A CPU; files are read by `MachineTopology(reading:)`, this is for machines made up in tests.
    ///
    /// Without `core`, it is a core of its own.
    public init(
        id: Int,
        isOnline: Bool = true,
        core: Int? = nil,
        package: Int? = nil,
        die: Int? = nil,
        cluster: Int? = nil,
        kind: CoreKind = .performance,
        maximumFrequencyKilohertz: Int? = nil,
        node: Int? = 0,
        l3Group: Int? = nil
    ) {
        self.id = id
        self.isOnline = isOnline
        self.core = core ?? id
        self.package = package
        self.die = die
        self.cluster = cluster
        self.kind = kind
        self.maximumFrequencyKilohertz = maximumFrequencyKilohertz
        self.node = node
        self.l3Group = l3Group
    }
}
