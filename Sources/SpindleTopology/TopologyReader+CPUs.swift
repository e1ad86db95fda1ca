// SPDX-License-Identifier: Apache-2.0

/// The id lists of `/sys/devices/system/cpu`.
struct CPUIDSets {
    var possible: CPUSet
    var present: CPUSet
    /// Never empty.
    var online: CPUSet
    var isolated: CPUSet
}

private let cpuFolder = "/sys/devices/system/cpu"

// CPUs, cores and core kinds.
extension TopologyReader {
    /// Which CPUs there are. Without the lists: the folders cpu0, cpu1, …; without these: the affinity mask, or CPU 0.
    mutating func readCPUSets(affinity: CPUSet?) -> CPUIDSets {
        let possible = list("\(cpuFolder)/possible") ?? []
        var present = list("\(cpuFolder)/present") ?? []
        var online = list("\(cpuFolder)/online") ?? []
        if online.isEmpty {
            let folders = CPUSet(ids(ofFoldersNamed: "cpu", in: cpuFolder))
            online = [present, folders, affinity ?? [], [0]].first { !$0.isEmpty } ?? [0]
            notes.add("\(cpuFolder)/online", "no list of CPUs; taken as online: \(online)")
        }
        present = present.union(online)
        return CPUIDSets(
            possible: possible.union(present),
            present: present,
            online: online,
            isolated: list("\(cpuFolder)/isolated") ?? []
        )
    }

    /// The numbers N of the entries "nameN" of a folder, as far as a set can hold them.
    func ids(ofFoldersNamed name: String, in folder: String) -> [Int] {
        files.names(in: folder).compactMap { entry in
            guard entry.hasPrefix(name), let id = Int(entry.dropFirst(name.count)) else { return nil }
            return (0..<CPUSet.idLimit).contains(id) ? id : nil
        }
    }

    /// Every present CPU with all that is known of it.
    mutating func readCPUs(_ sets: CPUIDSets, caches: [CPUCache], nodes: [NUMANode]) -> [LogicalCPU] {
        let places = sets.online.map { readPlace($0) }
        let cores = assignCores(places, online: sets.online)
        let kinds = readKinds(of: sets.online)
        let nodeByCPU = assignNodes(places, nodes: nodes)
        var l3ByCPU: [Int: Int] = [:]
        for (index, cache) in caches.lazy.filter({ $0.level == 3 }).enumerated() {
            for cpu in cache.cpus where l3ByCPU[cpu] == nil { l3ByCPU[cpu] = index }
        }
        var cpus: [LogicalCPU] = []
        for place in places {
            let id = place.id
            cpus.append(
                LogicalCPU(
                    id: id,
                    core: cores[id],
                    package: place.package,
                    die: place.die,
                    cluster: place.cluster,
                    kind: kinds[id] ?? .performance,
                    maximumFrequencyKilohertz: optional("\(cpuFolder)/cpu", id, "/cpufreq/cpuinfo_max_freq"),
                    node: nodeByCPU[id],
                    l3Group: l3ByCPU[id]
                )
            )
        }
        return cpus
            + sets.present.subtracting(sets.online).map {
                LogicalCPU(id: $0, isOnline: false, node: nil)
            }
    }

    /// An optional number of one CPU: nil without a note when missing, malformed (noted) or negative (-1 is "unknown").
    private mutating func optional(_ prefix: String, _ id: Int, _ suffix: String) -> Int? {
        guard let text = text("\(prefix)\(id)\(suffix)") else { return nil }
        guard let value = Int(trimmed(text)) else {
            let found = printable(trimmed(text), maximumLength: 24)
            notes.add(prefix: prefix, id: id, suffix: suffix, problem: "not a number: '\(found)'; ignored")
            return nil
        }
        return value >= 0 ? value : nil
    }
}

/// Where a CPU stands, as its own files say.
private struct CPUPlace {
    let id: Int
    let package: Int?
    let die: Int?
    let cluster: Int?
    let coreID: Int?
    /// Includes the CPU itself; nil when no file tells.
    let siblings: CPUSet?
}

extension TopologyReader {
    private mutating func readPlace(_ id: Int) -> CPUPlace {
        let prefix = "\(cpuFolder)/cpu"
        let siblings = siblings(of: id)
        var coreID: Int?
        if siblings == nil {
            coreID = readCoreID(id)
        }
        // The kernel prints an unknown 16-bit id of the firmware as 65535.
        let cluster = optional(prefix, id, "/topology/cluster_id").flatMap { $0 == 65_535 ? nil : $0 }
        return CPUPlace(
            id: id,
            package: optional(prefix, id, "/topology/physical_package_id"),
            die: optional(prefix, id, "/topology/die_id"),
            cluster: cluster,
            coreID: coreID,
            siblings: siblings
        )
    }

    /// The SMT siblings of a CPU: `core_cpus_list`, or `thread_siblings_list` before Linux 5.2.
    private mutating func siblings(of id: Int) -> CPUSet? {
        for name in ["core_cpus_list", "thread_siblings_list"] {
            let suffix = "/topology/\(name)"
            guard let text = text("\(cpuFolder)/cpu\(id)\(suffix)") else { continue }
            do throws(CPUSetError) {
                let set = try CPUSet(parsing: trimmed(text))
                if set.contains(id) { return set }
                notes.add(
                    prefix: "\(cpuFolder)/cpu",
                    id: id,
                    suffix: suffix,
                    problem: "does not contain the CPU itself; ignored"
                )
            } catch {
                notes.add(prefix: "\(cpuFolder)/cpu", id: id, suffix: suffix, problem: "\(error); ignored")
            }
        }
        return nil
    }

    /// The fallback where no sibling list exists: CPUs with the same `core_id` in the same package are siblings.
    private mutating func readCoreID(_ id: Int) -> Int? {
        let suffix = "/topology/core_id"
        let problem: String
        if let text = text("\(cpuFolder)/cpu\(id)\(suffix)") {
            if let value = Int(trimmed(text)) { return value >= 0 ? value : nil }
            problem = "not a number: '\(printable(trimmed(text), maximumLength: 24))'"
        } else {
            problem = "missing"
        }
        notes.add(
            prefix: "\(cpuFolder)/cpu",
            id: id,
            suffix: suffix,
            problem: "\(problem); treated as its own core"
        )
        return nil
    }

    /// Gives each online CPU the lowest CPU of its core.
    ///
    /// A sibling list counts only where both CPUs name each other, so contradicting files can't put one CPU into two
    /// cores.
    private mutating func assignCores(_ places: [CPUPlace], online: CPUSet) -> [Int: Int] {
        struct CoreKey: Hashable {
            let package: Int?
            let die: Int?
            let cluster: Int?
            let core: Int
        }
        let siblingsByCPU = Dictionary(uniqueKeysWithValues: places.map { ($0.id, $0.siblings) })
        var coreByCPU: [Int: Int] = [:]
        var coreByKey: [CoreKey: Int] = [:]
        for place in places where coreByCPU[place.id] == nil {
            coreByCPU[place.id] = place.id
            if let siblings = place.siblings {
                for sibling in siblings.intersection(online) where coreByCPU[sibling] == nil {
                    if siblingsByCPU[sibling]??.contains(place.id) == true {
                        coreByCPU[sibling] = place.id
                    } else {
                        notes.add(
                            prefix: "\(cpuFolder)/cpu",
                            id: sibling,
                            suffix: "/topology",
                            problem: "does not name CPU \(place.id), which names it as its SMT sibling; "
                                + "treated as another core"
                        )
                    }
                }
            } else if let core = place.coreID {
                let key = CoreKey(package: place.package, die: place.die, cluster: place.cluster, core: core)
                coreByCPU[place.id] = coreByKey[key] ?? place.id
                coreByKey[key] = coreByCPU[place.id]
            }
        }
        return coreByCPU
    }

    /// Which cores are of the slower sort.
    private mutating func readKinds(of online: CPUSet) -> [Int: CoreKind] {
        var kinds: [Int: CoreKind] = [:]
        let fast = list("/sys/devices/cpu_core/cpus") ?? []
        let slow = ["cpu_atom", "cpu_lowpower"].reduce(into: CPUSet()) { set, name in
            set = set.union(list("/sys/devices/\(name)/cpus") ?? [])
        }
        if !fast.isEmpty, !slow.isEmpty {
            for id in online { kinds[id] = slow.contains(id) && !fast.contains(id) ? .efficiency : .performance }
            return kinds
        }
        let capacities = online.map { (id: $0, capacity: optional("\(cpuFolder)/cpu", $0, "/cpu_capacity")) }
        let largest = capacities.compactMap(\.capacity).max() ?? 0
        for (id, capacity) in capacities {
            // `capacity < 3/4 largest` without a product that malformed numbers could make overflow.
            guard let capacity, capacity < largest - largest / 4 else { continue }
            kinds[id] = .efficiency
        }
        return kinds
    }

    /// The node of each online CPU. One that no node lists goes to a node of its package, else to the first with CPUs.
    private mutating func assignNodes(_ places: [CPUPlace], nodes: [NUMANode]) -> [Int: Int] {
        var nodeByCPU: [Int: Int] = [:]
        for node in nodes {
            for cpu in node.cpus where nodeByCPU[cpu] == nil { nodeByCPU[cpu] = node.id }
        }
        var nodeByPackage: [Int: Int] = [:]
        for place in places {
            if let package = place.package, let node = nodeByCPU[place.id], nodeByPackage[package] == nil {
                nodeByPackage[package] = node
            }
        }
        let fallback = (nodes.first { !$0.cpus.isEmpty } ?? nodes.first)?.id ?? 0
        for place in places where nodeByCPU[place.id] == nil {
            let node = place.package.flatMap { nodeByPackage[$0] } ?? fallback
            nodeByCPU[place.id] = node
            notes.add(
                prefix: "\(cpuFolder)/cpu",
                id: place.id,
                suffix: "",
                problem: "in the cpulist of no NUMA node; treated as on node \(node)"
            )
        }
        return nodeByCPU
    }
}
