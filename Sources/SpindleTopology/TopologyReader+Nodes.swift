// SPDX-License-Identifier: Apache-2.0

/// Two lines of a `meminfo`; nil where a line is missing.
struct MemoryAmounts {
    var totalBytes: Int?
    var freeBytes: Int?
}

private let nodeFolder = "/sys/devices/system/node"

// NUMA nodes, memory and network interfaces.
extension TopologyReader {
    /// More interfaces than this are left out (a container host has one or two per container).
    private static let interfaceLimit = 1_024

    /// The online nodes; a kernel without NUMA gives one node with every CPU and the machine's memory.
    mutating func readNodes(online: CPUSet, machineMemory: MemoryAmounts) -> [NUMANode] {
        var ids = list("\(nodeFolder)/online").map(Array.init) ?? []
        if ids.isEmpty { ids = self.ids(ofFoldersNamed: "node", in: nodeFolder).sorted() }
        guard !ids.isEmpty else {
            notes.add(nodeFolder, "no NUMA nodes; treated as one node 0 with all CPUs and memory")
            return [
                NUMANode(
                    id: 0,
                    cpus: online,
                    memoryTotalBytes: machineMemory.totalBytes,
                    memoryFreeBytes: machineMemory.freeBytes
                )
            ]
        }
        var nodes: [NUMANode] = []
        var taken = CPUSet()
        for id in ids {
            let folder = "\(nodeFolder)/node\(id)"
            let cpus = readNodeCPUs(folder).intersection(online)
            let doubled = cpus.intersection(taken)
            if !doubled.isEmpty {
                notes.add("\(folder)/cpulist", "CPUs \(doubled) are on a lower node too, and are left there")
            }
            let memory = readMeminfo("\(folder)/meminfo")
            nodes.append(
                NUMANode(
                    id: id,
                    cpus: cpus.subtracting(taken),
                    memoryTotalBytes: memory.totalBytes,
                    memoryFreeBytes: memory.freeBytes,
                    distances: readDistances("\(folder)/distance", from: id, to: ids)
                )
            )
            taken = taken.union(cpus)
        }
        return nodes
    }

    private mutating func readNodeCPUs(_ folder: String) -> CPUSet {
        if let list = list("\(folder)/cpulist") { return list }
        guard let mask = text("\(folder)/cpumap") else {
            notes.add("\(folder)/cpulist", "missing; treated as a node without CPUs")
            return []
        }
        return parseMask(mask, "\(folder)/cpumap") ?? []
    }

    /// The kernel prints one distance for each *online* node, ascending, so the n-th word is not node n.
    private mutating func readDistances(_ path: String, from id: Int, to ids: [Int]) -> [Int: Int] {
        guard let text = text(path) else { return [:] }
        let words = text.split(whereSeparator: \.isWhitespace)
        let numbers = words.compactMap { Int($0) }.filter { (1...255).contains($0) }
        guard numbers.count == words.count, numbers.count == ids.count else {
            notes.add(path, "not \(ids.count) distances from 1 to 255; treated as equally far")
            return [:]
        }
        return Dictionary(uniqueKeysWithValues: zip(ids, numbers))
    }

    /// "MemTotal:  16384 kB", or "Node 0 MemTotal:  16384 kB".
    mutating func readMeminfo(_ path: String) -> MemoryAmounts {
        var amounts = MemoryAmounts()
        guard let text = text(path) else {
            notes.add(path, "missing; the amount of memory is unknown")
            return amounts
        }
        for line in text.split(separator: "\n") {
            let words = line.split(separator: " ")
            guard let label = words.firstIndex(where: { $0.hasSuffix(":") }), label + 1 < words.count else { continue }
            guard words[label] == "MemTotal:" || words[label] == "MemFree:" else { continue }
            guard let kibibytes = Int(words[label + 1]), (0...(1 << 50)).contains(kibibytes) else {
                notes.add(path, "not an amount: '\(printable(line))'; ignored")
                continue
            }
            if words[label] == "MemTotal:" {
                amounts.totalBytes = kibibytes * 1024
            } else {
                amounts.freeBytes = kibibytes * 1024
            }
        }
        return amounts
    }

    /// Nodes whose CPU sets agree with the CPUs' nodes, after strays were given a node.
    func nodesOwningAllCPUs(_ nodes: [NUMANode], cpus: [LogicalCPU]) -> [NUMANode] {
        var cpusByNode: [Int: CPUSet] = [:]
        for cpu in cpus {
            if let node = cpu.node { cpusByNode[node, default: []].insert(cpu.id) }
        }
        return nodes.map { node in
            NUMANode(
                id: node.id,
                cpus: cpusByNode[node.id] ?? [],
                memoryTotalBytes: node.memoryTotalBytes,
                memoryFreeBytes: node.memoryFreeBytes,
                distances: node.distances
            )
        }
    }

    /// The network interfaces of this network namespace.
    mutating func readInterfaces() -> [NetworkInterface] {
        let folder = "/sys/class/net"
        let names = files.names(in: folder)
        if names.count > TopologyReader.interfaceLimit {
            notes.add(folder, "\(names.count) interfaces; only the first \(TopologyReader.interfaceLimit) are read")
        }
        var interfaces: [NetworkInterface] = []
        for name in names.prefix(TopologyReader.interfaceLimit) {
            let device = "\(folder)/\(name)/device"
            // A bond, bridge or VLAN has one entry "lower_eth0" for each interface that it stands on.
            let lower = files.names(in: "\(folder)/\(name)").filter { $0.hasPrefix("lower_") }.map {
                String($0.dropFirst("lower_".count))
            }
            let isVirtual = !files.exists(device)
            var node: Int?
            if !isVirtual {
                // The device of a virtio NIC is the virtio bus; the PCI device, which knows the node, is its parent.
                node = integer("\(device)/numa_node") ?? integer("\(device)/../numa_node")
            }
            interfaces.append(
                NetworkInterface(
                    name: name,
                    node: node.flatMap { $0 >= 0 ? $0 : nil },
                    isVirtual: isVirtual,
                    lowerInterfaces: lower
                )
            )
        }
        return interfaces
    }
}
