// SPDX-License-Identifier: Apache-2.0

/// Which reactor runs on which CPU, and why every other CPU is left out.
///
/// Made by `Placement.plan`, a pure function: the same request on the same machine gives the same placement, whatever
/// order the machine's parts were listed in. Nothing is pinned or allocated here; the engine carries it out.
public struct Placement: Sendable, Equatable {
    /// No machine gets more reactors than this: each pair of reactors may have a mailbox, so memory grows with the
    /// square.
    public static let reactorLimit = 4_096

    /// Why threads are bound or float.
    public enum PinReason: Sendable, Equatable {
        /// Bound: `--pin always`.
        case requested
        /// Bound: the request names each reactor's CPU.
        case listed
        /// Bound: the cgroup's cpuset belongs to us alone.
        case exclusiveCPUSet
        /// Bound: somebody gave this process a narrower affinity mask than it would have had.
        case narrowAffinity
        /// Bound: no CPU quota applies (none, or not less than the usable CPUs).
        case noQuota
        /// Floating: `--pin never`.
        case refused
        /// Floating: under a quota every container would pick the same "first" CPUs of the shared ones.
        case quotaOnSharedCPUs(cpus: Double)
    }

    /// One entry per reactor, ascending by index; never empty.
    public let reactors: [ReactorPlacement]
    /// Every possible CPU that no reactor runs on or floats over, ascending by CPU.
    public let leftOut: [LeftOutCPU]
    /// Why threads are bound or float.
    public let pinReason: PinReason
    /// What the user should know though the plan is valid; one sentence each.
    public let warnings: [String]
    /// For each CPU id from 0 to the highest possible one: the index of the nearest reactor.
    ///
    /// The jump table for steering packets by the CPU that received them (`SO_ATTACH_REUSEPORT_CBPF`). Near means, in
    /// this order: the same CPU, an SMT sibling, the same L3 cache, the same node, the smallest node distance. Where
    /// several are equally near, CPUs are dealt out evenly. Ids that no CPU has are dealt out like distant ones.
    public let nearestReactorByCPU: [Int]

    /// Whether each reactor's thread is to be bound to its CPU.
    public var isPinned: Bool { pinReason.isPinned }

    /// The index of the reactor nearest to a CPU. Every id has an answer: a packet that comes from a CPU that was
    /// plugged in later must reach somebody.
    public func nearestReactor(toCPU cpu: Int) -> Int {
        if nearestReactorByCPU.indices.contains(cpu) { return nearestReactorByCPU[cpu] }
        return Int(cpu.magnitude % UInt(reactors.count))
    }

    /// What is kept from the reactors' budgets for code, thread stacks, the kernel's socket buffers and whatever else
    /// runs in the same limit: 1/8 of the memory, at least 256 MiB, at most half of it.
    ///
    /// A budget is `(memory - reserve) / reactors`, where memory is the tighter of machine and cgroup limit; with
    /// several NUMA nodes at most `(node's memory - reserve of it) / reactors on it`, so that it can be met locally.
    /// Half: a container of 128 MiB still gets budgets that add up to 64 MiB.
    public static func memoryReserveBytes(of memoryBytes: Int) -> Int {
        min(max(memoryBytes / 8, 256 << 20), memoryBytes / 2)
    }

    /// Plans reactors for a request on a machine.
    ///
    /// - Usable are the CPUs in affinity mask ∩ cgroup cpuset ∩ `--cpuset` ∩ online, on `--numa-node` if given.
    /// - Physical cores come first: performance cores, then efficiency cores, then SMT siblings (none without
    /// `allowSMT`).
    /// - `spread` deals them out evenly over nodes, then over L3 groups.
    /// - `near` fills the interface's node first, then the nodes by distance (all their cores before any SMT sibling).
    /// - `pack` fills one node, its SMT siblings too, and in it one L3 group after the other, before it takes a second
    ///   node; it starts with the node of `near`, else with the first where all reactors fit.
    /// - Reactors are numbered node by node, in CPU order.
    ///
    /// - Throws: `PlacementError`, with the CPU, node or interface named and what is allowed.
    public static func plan(
        _ request: PlacementRequest,
        on machine: MachineTopology
    ) throws(PlacementError) -> Placement {
        var planner = PlacementPlanner(request: request, machine: machine)
        return try planner.plan()
    }
}

extension Placement.PinReason: CustomStringConvertible {
    /// Whether this reason binds threads.
    public var isPinned: Bool {
        switch self {
        case .requested, .listed, .exclusiveCPUSet, .narrowAffinity, .noQuota: true
        case .refused, .quotaOnSharedCPUs: false
        }
    }

    /// Ends the sentence "pinned, because …" or "floating, because …".
    public var description: String {
        switch self {
        case .requested, .refused: "it was requested"
        case .listed: "the request lists the CPUs"
        case .exclusiveCPUSet: "the cgroup's cpuset is exclusive"
        case .narrowAffinity: "the affinity mask was narrowed for this process"
        case .noQuota: "no CPU quota applies"
        case .quotaOnSharedCPUs(let cpus):
            "the CPUs are shared under a quota of \(cpuAmountText(cpus))"
        }
    }

    /// A stable word for JSON.
    public var name: String {
        switch self {
        case .requested: "requested"
        case .listed: "listed"
        case .exclusiveCPUSet: "exclusiveCPUSet"
        case .narrowAffinity: "narrowAffinity"
        case .noQuota: "noQuota"
        case .refused: "refused"
        case .quotaOnSharedCPUs: "quotaOnSharedCPUs"
        }
    }
}
