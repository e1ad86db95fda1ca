// SPDX-License-Identifier: Apache-2.0

/// A machine, and the plan for it, as text for people and as JSON for programs (`spindle topology`).
///
/// ```
/// Machine       1 NUMA node, 1 L3 cache
///   CPUs        4 online (0-3) on 2 cores with 2 threads each
///   …
/// Node 0        16 GiB (15 GiB free)
///   L3 #0       32 MiB [0* 2-] [1* 3-]
/// Plan          2 reactors, pinned, because no CPU quota applies
///   …
/// ```
///
/// Pure text work; no line is longer than `columns`. Large machines are folded: cores become ranges, equal L3 groups
/// and reactors one line. Names from files appear as printable ASCII only.
public struct TopologyDrawing: Sendable {
    /// The machine to show.
    public let machine: MachineTopology
    /// The plan to show; nil shows the machine alone.
    public let placement: Placement?
    /// The longest line, in characters; less than 80 counts as 80.
    public let columns: Int

    /// A drawing of a machine, with or without a plan.
    public init(of machine: MachineTopology, placement: Placement? = nil, columns: Int = 100) {
        self.machine = machine
        self.placement = placement
        self.columns = columns
    }

    /// Machine, nodes, and the plan if there is one; lines end in "\n".
    public var text: String {
        var layout = TextLayout(columns: columns)
        addMachine(to: &layout)
        layout.addEmptyLine()
        MachineMap(machine: machine, placement: placement).add(to: &layout)
        if let placement {
            layout.addEmptyLine()
            addPlan(placement, to: &layout)
        }
        addRemarks("Warning", placement?.warnings ?? [], to: &layout)
        addRemarks("Note", machine.notes, to: &layout)
        return layout.lines.map { $0 + "\n" }.joined()
    }

    /// An object with the members "machine" and "plan"; "plan" is `null` without one.
    public var json: JSONValue {
        .object([.init("machine", machine.json), .init("plan", placement?.json ?? .null)])
    }

    private static let hang = 14

    private func addMachine(to layout: inout TextLayout) {
        layout.add("Machine", machineSummary, hang: TopologyDrawing.hang)
        layout.add("  CPUs", cpuSummary, hang: TopologyDrawing.hang)
        layout.add("  allowed", allowedSummary, hang: TopologyDrawing.hang)
        if !machine.caches.isEmpty { layout.add("  caches", cacheSummary, hang: TopologyDrawing.hang) }
        layout.add("  memory", memorySummary, hang: TopologyDrawing.hang)
        layout.add("  network", networkSummary, hang: TopologyDrawing.hang)
    }

    private var machineSummary: String {
        let nodes = counted(machine.nodes.count, "NUMA node")
        let groups = counted(machine.l3Groups.count, "L3 cache")
        guard let hypervisor = machine.hypervisor else { return "\(nodes), \(groups)" }
        return "\(nodes), \(groups), virtual\(hypervisor == "unnamed" ? "" : " (\(printable(hypervisor)))")"
    }

    private var cpuSummary: String {
        let online = machine.cpus.filter(\.isOnline)
        let cores = Dictionary(grouping: online, by: \.core).mapValues(\.count)
        let threads = cores.values.max() ?? 1
        var text = "\(online.count) online (\(machine.onlineCPUs)) on \(counted(cores.count, "core"))"
        if threads > 1 { text += " with \(cores.values.min() == threads ? "" : "up to ")\(threads) threads each" }
        let efficiency = Set(online.lazy.filter { $0.kind == .efficiency }.map(\.core)).count
        if efficiency > 0 { text += ", \(efficiency) of them efficiency cores" }
        let offline = machine.possibleCPUs.subtracting(machine.onlineCPUs)
        if !offline.isEmpty { text += "; offline: \(offline)" }
        if let kilohertz = online.compactMap(\.maximumFrequencyKilohertz).max() {
            text += "; up to \(cpuCountText(Double(kilohertz) / 1e6)) GHz"
        }
        return text
    }

    private var allowedSummary: String {
        let cgroup = machine.cgroup
        var parts = ["\(counted(machine.usableCPUs.count, "CPU")) (\(machine.usableCPUs))"]
        if !machine.onlineCPUs.isSubset(of: machine.affinity) { parts.append("affinity mask \(machine.affinity)") }
        if let cpuset = cgroup.cpuset {
            parts.append("\(cgroup.isCPUSetExclusive ? "exclusive " : "")cpuset \(cpuset.value)")
        }
        if let quota = cgroup.quotaCPUs {
            let path = printable(quota.path, maximumLength: 200)
            parts.append("quota \(cpuAmountText(quota.value)) (\(path))")
        } else {
            parts.append("no quota")
        }
        parts.append(cgroup.version == .none ? "no cgroup" : "cgroup \(cgroup.version.rawValue)")
        return parts.joined(separator: "; ")
    }

    /// "L1d 32 KiB per core, L2 1 MiB per core, L3 32 MiB per 8 cores"; ranges where caches differ.
    private var cacheSummary: String {
        let coreByCPU = Dictionary(uniqueKeysWithValues: machine.cpus.map { ($0.id, $0.core) })
        let byLevel = Dictionary(grouping: machine.caches, by: \.level).sorted { $0.key < $1.key }
        return byLevel.map { level, caches in
            let name = caches.allSatisfy { $0.contents == .data } ? "L\(level)d" : "L\(level)"
            let sizes = caches.compactMap(\.sizeBytes)
            let coreCounts = caches.map { Set($0.cpus.map { coreByCPU[$0] ?? $0 }).count }
            let size = rangeText(sizes.min().map(byteText), sizes.max().map(byteText)) ?? "of unknown size"
            let sharers = rangeText(coreCounts.min().map(String.init), coreCounts.max().map(String.init)) ?? "1"
            return "\(name) \(size) per \(sharers == "1" ? "core" : "\(sharers) cores")"
        }.joined(separator: ", ")
    }

    private func rangeText(_ least: String?, _ most: String?) -> String? {
        guard let least, let most else { return nil }
        return least == most ? least : "\(least) to \(most)"
    }

    private var memorySummary: String {
        var text = machine.memoryBytes.map { byteText($0) } ?? "unknown"
        if let limit = machine.cgroup.memoryBytes {
            text += "; limit \(byteText(limit.value)) (\(printable(limit.path, maximumLength: 200)))"
        }
        if let usable = machine.usableMemoryBytes {
            text += "; \(byteText(Placement.memoryReserveBytes(of: usable))) kept in reserve"
        }
        if !machine.allowedMemoryNodes.isEmpty, machine.nodes.count > 1 {
            text += "; from nodes \(nodeListText(machine.allowedMemoryNodes))"
        }
        return text
    }

    private var networkSummary: String {
        let names = machine.interfaces.map { interface -> String in
            let name = printable(interface.name)
            let nodes = machine.nodes(ofInterface: interface.name) ?? []
            if !nodes.isEmpty { return "\(name) on node\(nodes.count == 1 ? "" : "s") \(nodeListText(nodes))" }
            return "\(name)\(TextLayout.hardSpace)\(interface.isVirtual ? "(virtual)" : "(node unknown)")"
        }
        guard !names.isEmpty else { return "no interfaces" }
        // Interfaces with hardware first; the virtual ones of a container host are counted.
        let shown = names.filter { !$0.hasSuffix("(virtual)") } + names.filter { $0.hasSuffix("(virtual)") }
        let rest = shown.count - TopologyDrawing.interfaceLimit
        return shown.prefix(TopologyDrawing.interfaceLimit).joined(separator: ", ")
            + (rest > 0 ? " and \(rest) more" : "")
    }

    private static let interfaceLimit = 12

    private func addRemarks(_ label: String, _ remarks: [String], to layout: inout TextLayout) {
        if !remarks.isEmpty { layout.addEmptyLine() }
        for remark in remarks { layout.add(label, printable(remark, maximumLength: 1_000), hang: TopologyDrawing.hang) }
    }
}

// The plan.
extension TopologyDrawing {
    /// More reactors than this are folded into ranges.
    private static let unfoldedReactorLimit = 16

    private func addPlan(_ placement: Placement, to layout: inout TextLayout) {
        let verb = placement.isPinned ? "pinned" : "floating"
        layout.add(
            "Plan",
            "\(counted(placement.reactors.count, "reactor")), \(verb), because \(placement.pinReason)",
            hang: TopologyDrawing.hang
        )
        layout.addTable(
            heading: ["reactor", "node", "memory on", "L3", "budget", "CPU"],
            rows: reactorRows(placement),
            indent: 2
        )
        guard !placement.leftOut.isEmpty else { return }
        layout.addEmptyLine()
        layout.addTable(heading: ["left out, because it is", "CPUs"], rows: leftOutRows(placement), indent: 2)
    }

    private func reactorRows(_ placement: Placement) -> [[String]] {
        var groups: [[ReactorPlacement]] = []
        let isFolded = placement.reactors.count > TopologyDrawing.unfoldedReactorLimit
        for reactor in placement.reactors {
            if isFolded, let last = groups.last?.last, isAlike(last, reactor) {
                groups[groups.count - 1].append(reactor)
            } else {
                groups.append([reactor])
            }
        }
        return groups.map { group in
            let first = group[0]
            let indices = group.count == 1 ? "\(first.index)" : "\(first.index)-\(first.index + group.count - 1)"
            return [
                indices,
                first.node.map(String.init) ?? "any",
                first.memoryNode.map(String.init) ?? "any",
                first.l3Group.map { "#\($0)" } ?? "-",
                first.memoryBudgetBytes.map { byteText($0) } ?? "-",
                cpuText(group),
            ]
        }
    }

    private func isAlike(_ left: ReactorPlacement, _ right: ReactorPlacement) -> Bool {
        (left.cpu == nil) == (right.cpu == nil) && left.node == right.node && left.memoryNode == right.memoryNode
            && left.l3Group == right.l3Group && left.coreSharers.isEmpty == right.coreSharers.isEmpty
    }

    private func cpuText(_ group: [ReactorPlacement]) -> String {
        let first = group[0]
        guard first.cpu != nil else { return "any of \(first.allowedCPUs)" }
        let cpus = CPUSet(group.compactMap(\.cpu))
        if group.count > 1 {
            return first.coreSharers.isEmpty ? "\(cpus)" : "\(cpus), cores shared with other reactors"
        }
        if !first.coreSharers.isEmpty {
            let sharers = first.coreSharers.prefix(8).map(String.init).joined(separator: ", ")
            return "\(cpus), core shared with reactor \(sharers)\(first.coreSharers.count > 8 ? ", ..." : "")"
        }
        return first.smtSiblings.isEmpty ? "\(cpus)" : "\(cpus), core to itself (SMT sibling \(first.smtSiblings))"
    }

    /// One row per kind of reason.
    private func leftOutRows(_ placement: Placement) -> [[String]] {
        var cpusBySummary: [String: CPUSet] = [:]
        var summaries: [String] = []
        for left in placement.leftOut {
            let summary = left.reason.summary
            if cpusBySummary[summary] == nil { summaries.append(summary) }
            cpusBySummary[summary, default: []].insert(left.cpu)
        }
        return summaries.map { [$0, (cpusBySummary[$0] ?? []).listText] }
    }
}
