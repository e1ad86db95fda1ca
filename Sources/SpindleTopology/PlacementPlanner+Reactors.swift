// SPDX-License-Identifier: Apache-2.0

// From chosen CPUs to reactors, and the reasons for the rest.
extension PlacementPlanner {
    /// The CPUs that get reactors, in the order of the reactors' indices; more reactors than these wrap around.
    func chooseCPUs(_ order: CPUOrder, count: Int) -> [LogicalCPU] {
        listedCPUs.map { Array($0.prefix(count)) } ?? order.numbered(order.cpus.prefix(count))
    }

    /// The CPUs of the request's list, one per core if only physical cores are asked for; nil without a list.
    var listedCPUs: [LogicalCPU]? {
        guard let listed = request.cpuList?.compactMap({ machine.cpu($0) }) else { return nil }
        guard request.cores == .physical else { return listed }
        var cores = Set<Int>()
        return listed.filter { cores.insert($0.core).inserted }
    }

    /// Gives each candidate without a reactor its reason.
    mutating func explainUnchosen(_ candidates: [LogicalCPU], chosen: [LogicalCPU], count: ReactorCount) {
        let used = CPUSet(chosen.map(\.id))
        let userByCore = Dictionary(chosen.map { ($0.core, $0.id) }, uniquingKeysWith: { first, _ in first })
        let hasPerformance = chosen.contains { $0.kind == .performance }
        for cpu in candidates where !used.contains(cpu.id) {
            if count.isLimitedByQuota, let quota = machine.cgroup.quotaCPUs?.value {
                reasons[cpu.id] = .quota(cpus: quota)
            } else if let user = userByCore[cpu.core] {
                reasons[cpu.id] = .smtSibling(of: user)
            } else if cpu.kind == .efficiency, hasPerformance {
                reasons[cpu.id] = .efficiencyCore
            } else {
                reasons[cpu.id] = .moreThanAsked(reactorCount: count.value)
            }
        }
    }

    /// Reactor i on CPU `cpus[i % cpus.count]`.
    func pinnedReactors(_ cpus: [LogicalCPU], count: Int) -> [ReactorPlacement] {
        var reactorsByCore: [Int: [Int]] = [:]
        for index in 0..<count { reactorsByCore[cpus[index % cpus.count].core, default: []].append(index) }
        var siblingsByCore: [Int: CPUSet] = [:]
        for cpu in machine.cpus { siblingsByCore[cpu.core, default: []].insert(cpu.id) }
        let memoryNodes = cpus.map { cpu in cpu.node.flatMap { nearestMemoryNode(to: $0) } }
        var sharers: [Int: Int] = [:]
        for index in 0..<count { memoryNodes[index % cpus.count].map { sharers[$0, default: 0] += 1 } }
        return (0..<count).map { index in
            let cpu = cpus[index % cpus.count]
            let memoryNode = memoryNodes[index % cpus.count]
            return ReactorPlacement(
                index: index,
                cpu: cpu.id,
                allowedCPUs: [cpu.id],
                node: cpu.node,
                memoryNode: memoryNode,
                l3Group: cpu.l3Group,
                smtSiblings: (siblingsByCore[cpu.core] ?? []).subtracting([cpu.id]),
                coreSharers: (reactorsByCore[cpu.core] ?? []).filter { $0 != index },
                memoryBudgetBytes: memoryBudget(
                    count: count,
                    node: memoryNode,
                    nodeCount: memoryNode.flatMap { sharers[$0] }
                )
            )
        }
    }

    /// The CPUs to float over: all candidates, or those of the node that `near` wants if the reactors fit there.
    mutating func floatingCPUs(_ candidates: [LogicalCPU], home: Int?, count: Int) -> [LogicalCPU] {
        if request.strategy == .pack, machine.nodes.count > 1, request.numaNode == nil {
            warnings.append("threads float, so packing has no effect; name a node or bind them")
        }
        guard let home else { return candidates }
        let atHome = candidates.filter { $0.node == home }
        guard atHome.count >= count else {
            warnings.append("\(counted(count, "reactor")) don't fit on node \(home); threads float over all nodes")
            return candidates
        }
        for cpu in candidates where cpu.node != home { reasons[cpu.id] = .otherNode(cpu.node ?? -1) }
        return atHome
    }

    /// Every reactor may run on every one of `cpus`.
    func floatingReactors(_ cpus: [LogicalCPU], count: Int) -> [ReactorPlacement] {
        let allowed = CPUSet(cpus.map(\.id))
        let node = cpus.allSatisfy { $0.node == cpus[0].node } ? cpus[0].node : nil
        let l3Group = cpus.allSatisfy { $0.l3Group == cpus[0].l3Group } ? cpus[0].l3Group : nil
        let memoryNode = node.flatMap { nearestMemoryNode(to: $0) }
        let budget = memoryBudget(count: count, node: memoryNode, nodeCount: count)
        return (0..<count).map { index in
            ReactorPlacement(
                index: index,
                cpu: nil,
                allowedCPUs: allowed,
                node: node,
                memoryNode: memoryNode,
                l3Group: l3Group,
                smtSiblings: [],
                coreSharers: [],
                memoryBudgetBytes: budget
            )
        }
    }

    /// The nearest node with memory that the process may allocate; of equally near ones the lowest.
    private func nearestMemoryNode(to id: Int) -> Int? {
        guard let node = machine.node(id) else { return nil }
        let allowed = machine.allowedMemoryNodes
        return machine.nodes.filter { $0.hasMemory && (allowed.isEmpty || allowed.contains($0.id)) }
            .min { (node.distance(to: $0.id), $0.id) < (node.distance(to: $1.id), $1.id) }?.id
    }

    /// A reactor's share of the usable memory; on machines with several nodes at most its share of its node.
    ///
    /// On one node the node's own figure is not asked: it says nothing new, and virtual machines that plug memory in
    /// were seen to state a fifth of the truth there.
    private func memoryBudget(count: Int, node: Int?, nodeCount: Int?) -> Int? {
        guard let usable = machine.usableMemoryBytes else { return nil }
        let share = (usable - Placement.memoryReserveBytes(of: usable)) / count
        guard machine.nodes.count > 1, let nodeCount, let total = node.flatMap({ machine.node($0)?.memoryTotalBytes })
        else { return share }
        return min(share, (total - Placement.memoryReserveBytes(of: total)) / nodeCount)
    }

    /// Warns where reactors use far memory.
    mutating func warnAboutMemory(_ reactors: [ReactorPlacement]) {
        for node in Set(reactors.compactMap(\.node)).sorted() {
            let homeless = reactors.first { $0.node == node && $0.memoryNode != node }
            guard let homeless else { continue }
            let substitute = homeless.memoryNode.map { "they use node \($0)'s" } ?? "no node has any for them"
            warnings.append("node \(node) has no memory for its reactors; \(substitute)")
        }
    }
}
