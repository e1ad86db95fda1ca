// SPDX-License-Identifier: Apache-2.0

/// A server and a load generator side by side on one machine (`spindle bench`).
///
/// The two never share a core, so neither runs on SMT siblings of the other; where there are several L3 groups they
/// don't share these either. Where the machine is too small, `sharesCores` is set and a warning says what suffers.
public struct BenchmarkPlacement: Sendable, Equatable {
    /// Where the server's reactors run.
    public let server: Placement
    /// Where the load generator's reactors run.
    public let load: Placement
    /// Whether both run on the same cores: then figures say little about the server alone.
    public let sharesCores: Bool
    /// What the split costs in truth; one sentence each. The placements have their own warnings.
    public let warnings: [String]

    /// Splits a machine between a server and a load generator.
    ///
    /// An automatic server gets half: on machines with several L3 groups every other group of each node (every other
    /// node, if each has one), else half of the cores, performance cores first; of an odd number the load generator
    /// gets the larger half, since a client works no less than a server. A server on a NUMA node of its own choice
    /// gets that node and the load generator the others. A server with `.count(n)` that fits into that half is put
    /// there; `.all`, `.physical` and a list of CPUs are planned first and the load generator gets what is left. A
    /// quota is halved likewise.
    ///
    /// - Parameters:
    ///   - request: What the user asks for the server. Its cpuset bounds the load generator too.
    ///   - loadThreads: How many reactors the load generator gets; nil is one per CPU of its part, at most twice as
    ///     many as the server has.
    ///   - machine: The machine.
    /// - Throws: `PlacementError`, as `Placement.plan`.
    public static func plan(
        _ request: PlacementRequest,
        loadThreads: Int? = nil,
        on machine: MachineTopology
    ) throws(PlacementError) -> BenchmarkPlacement {
        let splitter = BenchmarkSplitter(request: request, machine: machine)
        let server = try splitter.planServer()
        return try splitter.addLoad(to: server, loadThreads: loadThreads)
    }

    /// Finds CPUs for a load generator beside a server that is already placed; otherwise as `plan`.
    public static func plan(
        beside server: Placement,
        request: PlacementRequest,
        loadThreads: Int? = nil,
        on machine: MachineTopology
    ) throws(PlacementError) -> BenchmarkPlacement {
        try BenchmarkSplitter(request: request, machine: machine).addLoad(to: server, loadThreads: loadThreads)
    }
}

/// Does the splitting; see `BenchmarkPlacement.plan`.
private struct BenchmarkSplitter {
    let request: PlacementRequest
    let machine: MachineTopology

    func planServer() throws(PlacementError) -> Placement {
        // Both threads of each core, whatever the server will use of them: a core goes to one side as a whole.
        var wholeCores = request
        wholeCores.allowSMT = true
        wholeCores.cores = .automatic
        var probe = PlacementPlanner(request: wholeCores, machine: machine)
        try probe.checkRequestedCPUs()
        let home = try probe.homeNode()
        let candidates = try probe.findCandidates()
        var planner = PlacementPlanner(request: request, machine: machine)
        planner.quotaForCount = planner.quotaForCount.map { $0 / 2 }
        for cpu in serverLeaves(candidates, home: home) { planner.withheld[cpu] = .keptForLoadGenerator }
        return try planner.plan()
    }

    /// The CPUs that the server's plan must leave to the load generator; empty when it may have all.
    private func serverLeaves(_ candidates: [LogicalCPU], home: Int?) -> CPUSet {
        guard request.cpuList == nil, request.cores != .all, request.cores != .physical else { return [] }
        let all = CPUSet(candidates.map(\.id))
        if request.numaNode != nil, !loadPool(besides: all).isEmpty { return [] }
        let half = serverHalf(candidates, home: home)
        if case .count(let count) = request.cores {
            let cores = Set(candidates.lazy.filter { half.contains($0.id) }.map(\.core))
            if count > cores.count { return [] }
        }
        return all.subtracting(half)
    }

    /// Half of the candidates, never splitting a core unless there is only one.
    private func serverHalf(_ candidates: [LogicalCPU], home: Int?) -> CPUSet {
        let cores = Dictionary(grouping: candidates, by: \.core).values.sorted { left, right in
            (left[0].kind, left[0].id) < (right[0].kind, right[0].id)
        }
        guard cores.count > 1 else { return CPUSet(candidates.prefix(1).map(\.id)) }
        let byGroups = halfOfGroups(candidates, home: home)
        let coresInHalf = Set(byGroups.map(\.core)).count
        // Unequal groups (an island of low-power cores without L3) make no fair halves.
        if coresInHalf * 4 >= cores.count, coresInHalf * 4 <= cores.count * 3 { return CPUSet(byGroups.map(\.id)) }
        return CPUSet(cores.prefix(cores.count / 2).joined().map(\.id))
    }

    /// Every other L3 group of each node; the odd groups that remain are halved over the nodes.
    private func halfOfGroups(_ candidates: [LogicalCPU], home: Int?) -> [LogicalCPU] {
        let byNode = Dictionary(grouping: candidates) { $0.node ?? -1 }
        let nodes = byNode.keys.sorted { left, right in
            guard let node = home.flatMap({ machine.node($0) }) else { return left < right }
            return (node.distance(to: left), left) < (node.distance(to: right), right)
        }
        var half: [LogicalCPU] = []
        var oddGroups: [[LogicalCPU]] = []
        for node in nodes {
            let groups = Dictionary(grouping: byNode[node] ?? []) { $0.l3Group ?? -1 }.values
                .sorted { $0[0].id < $1[0].id }
            half += groups.prefix(groups.count / 2).joined()
            if groups.count % 2 == 1 { oddGroups.append(groups[groups.count / 2]) }
        }
        return half + oddGroups.prefix(oddGroups.count / 2).joined()
    }

    /// The usable CPUs whose core none of `taken` is on, ascending.
    private func loadPool(besides taken: CPUSet) -> [LogicalCPU] {
        let usable = machine.usableCPUs.intersection(request.cpuset ?? machine.usableCPUs)
        let takenCores = Set(taken.compactMap { machine.cpu($0)?.core })
        return machine.cpus.filter { usable.contains($0.id) && !takenCores.contains($0.core) }
    }

    func addLoad(to server: Placement, loadThreads: Int?) throws(PlacementError) -> BenchmarkPlacement {
        let taken = server.reactors.reduce(into: CPUSet()) { $0 = $0.union($1.allowedCPUs) }
        var warnings: [String] = []
        var pool = loadPool(besides: taken)
        let sharesCores = pool.isEmpty
        if pool.isEmpty {
            let usable = machine.usableCPUs.intersection(request.cpuset ?? machine.usableCPUs)
            let siblings = usable.subtracting(taken)
            if siblings.isEmpty {
                warnings.append(
                    "no CPU is left for the load generator: it shares the server's, "
                        + "and the figures are of both together"
                )
            } else {
                warnings.append(
                    "no core is left for the load generator: it runs on SMT siblings of the server's cores "
                        + "(\(siblings)) and slows them down"
                )
            }
            let shared = siblings.isEmpty ? taken : siblings
            pool = machine.cpus.filter { shared.contains($0.id) }
        }
        let isOneThreadPerCore = !request.allowSMT
        let available = isOneThreadPerCore ? Set(pool.map(\.core)).count : pool.count
        var threads = loadThreads ?? min(available, 2 * server.reactors.count)
        if let quota = machine.effectiveQuotaCPUs {
            let rest = Int(quota) - server.reactors.count
            if loadThreads == nil { threads = min(threads, max(1, rest)) }
            if rest < 1 {
                warnings.append(
                    "server and load generator share a CPU quota of \(cpuCountText(quota)) and freeze each other"
                )
            }
        }
        let load = try planLoad(on: preferred(pool, taken: taken, threads: threads), taken: taken, threads: threads) {
            $0.pin = server.isPinned ? .always : .never
            $0.oversubscribe = threads > available
        }
        return BenchmarkPlacement(server: server, load: load, sharesCores: sharesCores, warnings: warnings)
    }

    /// The best part of the pool with a core for each thread: other L3 groups of the server's nodes, else other L3
    /// groups, else the whole pool.
    private func preferred(_ pool: [LogicalCPU], taken: CPUSet, threads: Int) -> CPUSet {
        struct Group: Hashable {
            let node: Int?
            let l3Group: Int?
        }
        let serverCPUs = machine.cpus.filter { taken.contains($0.id) }
        let serverGroups = Set(serverCPUs.map { Group(node: $0.node, l3Group: $0.l3Group) })
        let serverNodes = Set(serverCPUs.map(\.node))
        let apart = pool.filter { !serverGroups.contains(Group(node: $0.node, l3Group: $0.l3Group)) }
        for part in [apart.filter { serverNodes.contains($0.node) }, apart]
        where !part.isEmpty && Set(part.map(\.core)).count >= threads {
            return CPUSet(part.map(\.id))
        }
        return CPUSet(pool.map(\.id))
    }

    private func planLoad(
        on cpus: CPUSet,
        taken: CPUSet,
        threads: Int,
        adjust: (inout PlacementRequest) -> Void
    ) throws(PlacementError) -> Placement {
        var loadRequest = PlacementRequest(cores: .count(threads), cpuset: request.cpuset, allowSMT: request.allowSMT)
        adjust(&loadRequest)
        var planner = PlacementPlanner(request: loadRequest, machine: machine)
        let serverCores = Set(taken.compactMap { machine.cpu($0)?.core })
        for cpu in machine.cpus where !cpus.contains(cpu.id) {
            planner.withheld[cpu.id] =
                serverCores.contains(cpu.core) ? .keptForServer : .moreThanAsked(reactorCount: threads)
        }
        return try planner.plan()
    }
}
