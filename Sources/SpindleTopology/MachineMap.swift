// SPDX-License-Identifier: Apache-2.0

/// The picture in the middle of a `TopologyDrawing`: nodes, in them L3 groups, in them cores with their threads.
///
/// A core is a box with the CPUs of its threads, `[0* 16-]`, an efficiency core `(24*)`. The mark behind a CPU says
/// what the plan does with it: `*` a reactor, `~` reactors float over it, `-` left out.
struct MachineMap {
    /// On a machine with more CPUs than this, cores are shown as ranges.
    private static let unfoldedCPULimit = 128
    /// On such a machine a node with more L3 groups than this is one line.
    private static let unfoldedGroupLimit = 8
    /// More nodes than this are only counted.
    private static let nodeLimit = 32
    private static let hang = 14

    let machine: MachineTopology
    let placement: Placement?
    private let reactorCPUs: CPUSet
    private let floatingCPUs: CPUSet

    init(machine: MachineTopology, placement: Placement?) {
        self.machine = machine
        self.placement = placement
        var reactorCPUs = CPUSet()
        var floatingCPUs = CPUSet()
        for reactor in placement?.reactors ?? [] {
            if let cpu = reactor.cpu {
                reactorCPUs.insert(cpu)
            } else if floatingCPUs.isEmpty {
                floatingCPUs = reactor.allowedCPUs
            }
        }
        self.reactorCPUs = reactorCPUs
        self.floatingCPUs = floatingCPUs
    }

    func add(to layout: inout TextLayout) {
        let cpusByNode = Dictionary(grouping: machine.cpus.filter { $0.node != nil }) { $0.node ?? -1 }
        for node in machine.nodes.prefix(MachineMap.nodeLimit) {
            layout.add("Node \(node.id)", summary(of: node), hang: MachineMap.hang)
            addGroups(cpusByNode[node.id] ?? [], to: &layout)
        }
        let rest = machine.nodes.count - MachineMap.nodeLimit
        if rest > 0 { layout.add("", "and \(counted(rest, "more node"))", hang: MachineMap.hang) }
        // Ranges have no marks to explain.
        guard placement != nil, machine.cpus.count <= MachineMap.unfoldedCPULimit else { return }
        var legend = [floatingCPUs.isEmpty ? "* has a reactor" : "~ reactors float over it"]
        if machine.cpus.contains(where: { $0.isOnline && mark($0.id) == "-" }) { legend.append("- left out") }
        if machine.cpus.contains(where: { $0.kind == .efficiency }) { legend.append("(efficiency core)") }
        layout.add("", legend.joined(separator: ", "), hang: MachineMap.hang)
    }

    private func summary(of node: NUMANode) -> String {
        var parts: [String] = []
        switch (node.memoryTotalBytes, node.memoryFreeBytes) {
        case (nil, _): parts.append("memory unknown")
        case (0?, _): parts.append("no memory")
        case (let total?, let free?): parts.append("\(byteText(total)) (\(byteText(free)) free)")
        case (let total?, nil): parts.append(byteText(total))
        }
        if node.cpus.isEmpty { parts.append("no CPUs") }
        let interfaces = machine.interfaces.filter { $0.node == node.id }.prefix(8).map { printable($0.name) }
        if !interfaces.isEmpty { parts.append(interfaces.joined(separator: ", ")) }
        let others = machine.nodes.filter { $0.id != node.id }
        if !others.isEmpty {
            parts.append("distance " + distances(from: node, to: others))
        }
        return parts.joined(separator: "; ")
    }

    /// "21 to node 1, 31 to nodes 2-3": nodes at the same distance together.
    private func distances(from node: NUMANode, to others: [NUMANode]) -> String {
        let byDistance = Dictionary(grouping: others) { node.distance(to: $0.id) }
        return byDistance.sorted { $0.key < $1.key }.map { distance, nodes in
            "\(distance) to node\(nodes.count == 1 ? "" : "s") \(nodeListText(nodes.map(\.id)))"
        }.joined(separator: ", ")
    }

    private func addGroups(_ cpus: [LogicalCPU], to layout: inout TextLayout) {
        let groups = Dictionary(grouping: cpus) { $0.l3Group ?? -1 }.sorted { $0.key < $1.key }
        let isFolded = machine.cpus.count > MachineMap.unfoldedCPULimit
        if isFolded, groups.count > MachineMap.unfoldedGroupLimit {
            layout.add("  \(groups.count) L3", foldedText(cpus), hang: MachineMap.hang)
            return
        }
        for (index, members) in groups {
            let size = machine.l3Groups.indices.contains(index) ? machine.l3Groups[index].sizeBytes : nil
            let cores = Dictionary(grouping: members, by: \.core).values.sorted { $0[0].id < $1[0].id }
            let text = isFolded ? foldedText(members) : boxes(cores)
            layout.add(
                index < 0 ? "  no L3" : "  L3 #\(index)",
                (size.map { "\(byteText($0))  " } ?? "") + text,
                hang: MachineMap.hang
            )
        }
    }

    private func boxes(_ cores: [[LogicalCPU]]) -> String {
        cores.map { core in
            let threads = core.map { "\($0.id)\(mark($0.id))" }.joined(separator: "\(TextLayout.hardSpace)")
            return core[0].kind == .performance ? "[\(threads)]" : "(\(threads))"
        }.joined(separator: " ")
    }

    private func mark(_ cpu: Int) -> String {
        guard placement != nil else { return "" }
        if reactorCPUs.contains(cpu) { return "*" }
        return floatingCPUs.contains(cpu) ? "~" : "-"
    }

    private func foldedText(_ cpus: [LogicalCPU]) -> String {
        let all = CPUSet(cpus.map(\.id))
        var text = "\(Set(cpus.map(\.core)).count) cores: \(all)"
        guard placement != nil else { return text }
        let used = all.intersection(reactorCPUs.union(floatingCPUs))
        text += used == all ? "; all used" : "; used: \(used)"
        return text
    }
}
