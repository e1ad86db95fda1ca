// SPDX-License-Identifier: Apache-2.0

/// The order in which candidate CPUs are given reactors; the first n of it get one.
///
/// Three sorts, no greedy search: a CPU's rank in its L3 group, its rank in its node (groups take turns), and its rank
/// on the machine (nodes take turns). Ranks count through all tiers, so a node with fewer physical cores gets SMT
/// siblings first when the physical cores are used up. Cost: O(n log n).
struct CPUOrder {
    /// The candidates, the first to be used first.
    let cpus: [LogicalCPU]
    /// The order in which nodes are filled and reactors are numbered.
    let nodeRanks: [Int: Int]

    /// 0: performance cores, 1: efficiency cores, 2 and more: SMT siblings (the second thread of a core, the third, …).
    private let tiers: [Int: Int]

    /// - Parameters:
    ///   - candidates: Online CPUs, ascending by id.
    ///   - home: The node to fill first (`--near`), or nil.
    ///   - count: How many CPUs will be taken; `pack` looks for a node where they fit.
    init(
        _ candidates: [LogicalCPU],
        on machine: MachineTopology,
        strategy: PlacementRequest.Strategy,
        home: Int?,
        count: Int
    ) {
        let tiers = CPUOrder.tiers(of: candidates)
        let byNode = Dictionary(grouping: candidates) { $0.node ?? -1 }
        let first: Int?
        switch strategy {
        case .spread: first = home
        case .pack: first = home ?? CPUOrder.bestNode(byNode, tiers: tiers, count: count)
        }
        let nodes = byNode.keys.sorted { left, right in
            guard let first, let node = machine.node(first) else { return left < right }
            return (node.distance(to: left), left) < (node.distance(to: right), right)
        }
        let nodeRanks = Dictionary(uniqueKeysWithValues: nodes.enumerated().map { ($1, $0) })
        var ranks: [Int: Int] = [:]
        for members in byNode.values {
            CPUOrder.rank(members, tiers: tiers, strategy: strategy, into: &ranks)
        }
        func key(_ cpu: LogicalCPU) -> (Int, Int, Int, Int) {
            let node = nodeRanks[cpu.node ?? -1] ?? 0
            let tier = tiers[cpu.id] ?? 0
            let rank = ranks[cpu.id] ?? 0
            switch strategy {
            case .pack: return (node, tier, rank, cpu.id)
            case .spread where home != nil: return (tier, node, rank, cpu.id)
            case .spread: return (tier, rank, node, cpu.id)
            }
        }
        cpus = candidates.map { (key($0), $0) }.sorted { $0.0 < $1.0 }.map(\.1)
        self.nodeRanks = nodeRanks
        self.tiers = tiers
    }

    /// Chosen CPUs in the order in which reactors are numbered: node by node, physical cores first, then by id.
    func numbered(_ chosen: some Sequence<LogicalCPU>) -> [LogicalCPU] {
        chosen.sorted { left, right in
            (nodeRanks[left.node ?? -1] ?? 0, tiers[left.id] ?? 0, left.id)
                < (nodeRanks[right.node ?? -1] ?? 0, tiers[right.id] ?? 0, right.id)
        }
    }

    private static func tiers(of candidates: [LogicalCPU]) -> [Int: Int] {
        var threadsSeen: [Int: Int] = [:]
        var tiers: [Int: Int] = [:]
        for cpu in candidates {
            let thread = threadsSeen[cpu.core, default: 0]
            threadsSeen[cpu.core] = thread + 1
            tiers[cpu.id] = thread == 0 ? (cpu.kind == .performance ? 0 : 1) : 1 + thread
        }
        return tiers
    }

    /// Gives each CPU of one node its rank there: sorted in each L3 group by tier and id, then over the groups.
    private static func rank(
        _ members: [LogicalCPU],
        tiers: [Int: Int],
        strategy: PlacementRequest.Strategy,
        into ranks: inout [Int: Int]
    ) {
        let groups = Dictionary(grouping: members) { $0.l3Group ?? -1 }.values.sorted { left, right in
            // Packing starts with the fullest group. Groups are not empty; their members ascend.
            if strategy == .pack, left.count != right.count { return left.count > right.count }
            return left[0].id < right[0].id
        }
        var entries: [(tier: Int, inGroup: Int, group: Int, id: Int)] = []
        for (groupIndex, group) in groups.enumerated() {
            let sorted = group.sorted { left, right in
                let (leftTier, rightTier) = (tiers[left.id] ?? 0, tiers[right.id] ?? 0)
                if leftTier != rightTier { return leftTier < rightTier }
                // SMT siblings from the highest down: the core of reactor 0, which has the odd jobs, is shared last.
                return leftTier < 2 ? left.id < right.id : left.id > right.id
            }
            for (index, cpu) in sorted.enumerated() {
                entries.append((tiers[cpu.id] ?? 0, index, groupIndex, cpu.id))
            }
        }
        entries.sort { left, right in
            switch strategy {
            case .spread: (left.tier, left.inGroup, left.group) < (right.tier, right.inGroup, right.group)
            case .pack: (left.tier, left.group, left.inGroup) < (right.tier, right.group, right.inGroup)
            }
        }
        for (index, entry) in entries.enumerated() {
            ranks[entry.id] = index
        }
    }

    /// The node to pack on: the first where all fit on physical cores, else the first where all fit, else the largest.
    private static func bestNode(_ byNode: [Int: [LogicalCPU]], tiers: [Int: Int], count: Int) -> Int? {
        let nodes = byNode.keys.sorted()
        func cpuCount(_ node: Int) -> Int { byNode[node]?.count ?? 0 }
        func coreCount(_ node: Int) -> Int { byNode[node]?.count { (tiers[$0.id] ?? 0) < 2 } ?? 0 }
        return nodes.first { coreCount($0) >= count }
            ?? nodes.first { cpuCount($0) >= count }
            ?? nodes.max { (cpuCount($0), -$0) < (cpuCount($1), -$1) }
    }
}
