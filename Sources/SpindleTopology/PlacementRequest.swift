// SPDX-License-Identifier: Apache-2.0

/// What the user wants of the placement: the values of the placement flags.
///
/// The default asks for nothing: as many reactors as CPUs and quota allow, spread over the machine, pinned where that
/// helps. Nothing is checked here; `Placement.plan` compares the request with a machine.
public struct PlacementRequest: Sendable, Equatable {
    /// How many reactors (`--cores`).
    public enum Cores: Sendable, Equatable {
        /// One per usable CPU, physical cores first, at most as many as the CPU quota can run (at least one).
        case automatic
        /// Exactly so many, at least 1; the quota only warns.
        case count(Int)
        /// One per usable CPU, SMT siblings included; the quota only warns.
        case all
        /// One per physical core; the quota only warns.
        case physical
    }

    /// How reactors are distributed while there are more CPUs than reactors (`--placement`).
    public enum Strategy: String, Sendable, Equatable, CaseIterable {
        /// Evenly over the NUMA nodes, then over the L3 groups: most cache and memory bandwidth per reactor.
        case spread
        /// On as few nodes and L3 groups as possible: cheapest messages between reactors.
        case pack
    }

    /// Whether each reactor's thread is bound to its CPU (`--pin`).
    public enum Pinning: String, Sendable, Equatable, CaseIterable {
        /// When the CPUs are ours alone or no CPU quota applies; see `Placement.PinReason`.
        case auto
        /// Always.
        case always
        /// Never: threads float over the allowed CPUs.
        case never
    }

    /// How many reactors.
    public var cores: Cores
    /// Only these CPUs (`--cpuset`); each must be usable. nil allows every usable CPU.
    public var cpuset: CPUSet?
    /// Exactly these CPUs in this order, one reactor each; `cores` may shorten the list. nil lets the plan choose.
    public var cpuList: [Int]?
    /// Only CPUs of this NUMA node (`--numa-node`), by the kernel's number.
    public var numaNode: Int?
    /// The interface whose node is filled first (`--near eth0`). `numaNode` goes before it.
    public var near: String?
    /// How to distribute.
    public var strategy: Strategy
    /// Whether to bind threads.
    public var pin: Pinning
    /// Whether a core may get a second reactor on its SMT sibling (`--no-smt` sets false).
    public var allowSMT: Bool
    /// Allows what is otherwise refused: more reactors than CPUs, the same CPU twice in `cpuList`, poll mode under a
    /// quota.
    public var oversubscribe: Bool
    /// Whether reactors spin instead of sleeping (`--poll-mode`): refused where a quota would freeze them.
    public var pollMode: Bool

    /// A request; what is not named has the default that the property's doc names first.
    public init(
        cores: Cores = .automatic,
        cpuset: CPUSet? = nil,
        cpuList: [Int]? = nil,
        numaNode: Int? = nil,
        near: String? = nil,
        strategy: Strategy = .spread,
        pin: Pinning = .auto,
        allowSMT: Bool = true,
        oversubscribe: Bool = false,
        pollMode: Bool = false
    ) {
        self.cores = cores
        self.cpuset = cpuset
        self.cpuList = cpuList
        self.numaNode = numaNode
        self.near = near
        self.strategy = strategy
        self.pin = pin
        self.allowSMT = allowSMT
        self.oversubscribe = oversubscribe
        self.pollMode = pollMode
    }
}
