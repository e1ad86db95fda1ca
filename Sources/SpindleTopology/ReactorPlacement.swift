// SPDX-License-Identifier: Apache-2.0

/// Where one reactor runs and how much memory it may take.
public struct ReactorPlacement: Sendable, Equatable {
    /// The reactor's index, from 0.
    public let index: Int
    /// The CPU that its thread is bound to; nil when it floats over `allowedCPUs`.
    public let cpu: Int?
    /// The mask to give its thread: `[cpu]` when bound, else all CPUs it may float over. Never empty.
    public let allowedCPUs: CPUSet
    /// The NUMA node of those CPUs; nil when they are on several.
    public let node: Int?
    /// The node to prefer for its memory: `node`, or the nearest one that has memory we may allocate; nil when it
    /// floats over several nodes, where the kernel's first touch is the best guess.
    public let memoryNode: Int?
    /// The L3 cache of those CPUs, an index of `MachineTopology.l3Groups`; nil when unknown or when they have several.
    public let l3Group: Int?
    /// The other CPUs of its core; empty without SMT and when it floats.
    public let smtSiblings: CPUSet
    /// Other reactors on the same core (on an SMT sibling, or on the same CPU when oversubscribed), ascending.
    public let coreSharers: [Int]
    /// Its share of the usable memory, in bytes: see `Placement.memoryReserveBytes(of:)`; nil when that is unknown.
    public let memoryBudgetBytes: Int?
}
