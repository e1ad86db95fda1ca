// SPDX-License-Identifier: Apache-2.0

// Which CPUs may get a reactor at all.
extension PlacementPlanner {
    /// Everything that the request names must exist and be usable: a typing error must not silently shrink a server.
    func checkRequestedCPUs() throws(PlacementError) {
        guard !usable.isEmpty else {
            throw .noUsableCPU(
                affinity: machine.affinity,
                online: machine.onlineCPUs,
                cgroup: machine.cgroup.cpuset?.value
            )
        }
        guard request.cpuset?.isEmpty != true, request.cpuList?.isEmpty != true else { throw .emptyList }
        for cpu in request.cpuset ?? [] { try check(cpu) }
        var listed = Set<Int>()
        var coreUsers: [Int: Int] = [:]
        for cpu in request.cpuList ?? [] {
            try check(cpu)
            let core = machine.cpu(cpu)?.core ?? cpu
            guard request.cpuset?.contains(cpu) != false else {
                throw .cpuNotUsable(cpu, reason: .outsideRequestedCPUSet, usable: usable)
            }
            if let node = machine.cpu(cpu)?.node, let wanted = request.numaNode, node != wanted {
                throw .cpuNotUsable(cpu, reason: .otherNode(node), usable: usable)
            }
            guard listed.insert(cpu).inserted || request.oversubscribe else { throw .duplicateCPU(cpu) }
            if let user = coreUsers[core], user != cpu, !request.allowSMT {
                throw .cpuNotUsable(cpu, reason: .smtSibling(of: user), usable: usable)
            }
            coreUsers[core] = coreUsers[core] ?? cpu
        }
    }

    private func check(_ cpu: Int) throws(PlacementError) {
        if usable.contains(cpu) { return }
        guard machine.possibleCPUs.contains(cpu) else { throw .unknownCPU(cpu, usable: usable) }
        throw .cpuNotUsable(cpu, reason: unusableReason(machine.cpu(cpu)) ?? .offline, usable: usable)
    }

    /// Why the process can't use a CPU; nil when it can. The cgroup goes before the mask, since it narrows the mask.
    private func unusableReason(_ cpu: LogicalCPU?) -> LeftOutReason? {
        guard let cpu, cpu.isOnline else { return .offline }
        if machine.cgroup.cpuset?.value.contains(cpu.id) == false { return .outsideCgroupCPUSet }
        return machine.affinity.contains(cpu.id) ? nil : .outsideAffinityMask
    }

    /// The node that `near` wants filled first; nil when none is asked for or known (with a warning).
    mutating func homeNode() throws(PlacementError) -> Int? {
        guard let name = request.near else { return nil }
        guard let found = machine.nodes(ofInterface: name) else {
            throw .unknownInterface(name, interfaces: machine.interfaces.map(\.name))
        }
        let nodes = found.filter { machine.node($0) != nil }
        if let wanted = request.numaNode {
            if !nodes.isEmpty, !nodes.contains(wanted) {
                warnings.append(
                    "\(printable(name)) is on node \(nodes[0]); the requested node \(wanted) goes before it"
                )
            }
            return nil
        }
        guard machine.nodes.count > 1 else { return nil }
        guard let home = nodes.first else {
            warnings.append("the node of \(printable(name)) isn't known; placed as without it")
            return nil
        }
        if nodes.count > 1 {
            let names = nodes.map(String.init).joined(separator: ", ")
            warnings.append("\(printable(name)) stands on nodes \(names); node \(home) is filled first")
        }
        if machine.node(home)?.cpus.isDisjoint(with: usable) == true {
            warnings.append("node \(home) of \(printable(name)) has no usable CPU; the nearest nodes are filled first")
        }
        return home
    }

    /// The CPUs that a reactor may get, ascending; the others get their reason. Never empty.
    mutating func findCandidates() throws(PlacementError) -> [LogicalCPU] {
        if let node = request.numaNode, machine.node(node) == nil {
            throw .unknownNode(node, nodes: machine.nodes.map(\.id))
        }
        let listed = request.cpuList.map { CPUSet($0) }
        var candidates: [LogicalCPU] = []
        for id in machine.possibleCPUs {
            let cpu = machine.cpu(id)
            if let reason = unusableReason(cpu) {
                reasons[id] = reason
            } else if request.cpuset?.contains(id) == false {
                reasons[id] = .outsideRequestedCPUSet
            } else if listed?.contains(id) == false {
                reasons[id] = .notListed
            } else if let reason = withheld[id] {
                reasons[id] = reason
            } else if let wanted = request.numaNode, let node = cpu?.node, node != wanted {
                reasons[id] = .otherNode(node)
            } else if let cpu {
                candidates.append(cpu)
            }
        }
        guard !candidates.isEmpty else {
            let node = request.numaNode ?? machine.nodes[0].id
            let open = usable.intersection(request.cpuset ?? usable)
            let usableNodes = Set(open.compactMap { machine.cpu($0)?.node }).sorted()
            throw .nodeNotUsable(node, hasCPUs: machine.node(node)?.cpus.isEmpty == false, usableNodes: usableNodes)
        }
        return oneThreadPerCore(candidates)
    }

    /// Drops SMT siblings where they aren't wanted; the lowest CPU of a core stays.
    private mutating func oneThreadPerCore(_ candidates: [LogicalCPU]) -> [LogicalCPU] {
        guard !request.allowSMT || request.cores == .physical, request.cpuList == nil else { return candidates }
        var firstByCore: [Int: Int] = [:]
        return candidates.filter { cpu in
            guard let first = firstByCore[cpu.core] else {
                firstByCore[cpu.core] = cpu.id
                return true
            }
            reasons[cpu.id] = .smtSibling(of: first)
            return false
        }
    }
}
