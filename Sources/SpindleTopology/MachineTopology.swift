// SPDX-License-Identifier: Apache-2.0

/// A machine as a server sees it: CPUs, caches, NUMA nodes, network interfaces, and what this process may use of them.
///
/// A value: reading files makes it once (`MachineTopology(reading:)`), everything that follows (`Placement.plan`, the
/// drawing, the JSON) is a pure function of it. There is always at least one CPU and one node. Lists are sorted by id,
/// whatever order they were given in.
public struct MachineTopology: Sendable, Equatable {
    /// Every CPU that is plugged in, online or not, ascending by id; never empty.
    public let cpus: [LogicalCPU]
    /// Every id that a CPU may ever have here, hot-plug included; contains all of `cpus`.
    public let possibleCPUs: CPUSet
    /// CPUs that the kernel was started to keep free of other work (`isolcpus=`); mostly empty.
    public let isolatedCPUs: CPUSet
    /// Every NUMA node, ascending by id; never empty. A kernel without NUMA is one node.
    public let nodes: [NUMANode]
    /// The caches, each once, ascending by level and lowest CPU.
    public let caches: [CPUCache]
    /// The L3 caches: CPUs of one of them exchange data without leaving it. `LogicalCPU.l3Group` is an index of this.
    public let l3Groups: [CPUCache]
    /// The network interfaces, sorted by name.
    public let interfaces: [NetworkInterface]
    /// The CPUs that the process may run on (`Cpus_allowed_list`): what sched_setaffinity(2) and cgroups left.
    public let affinity: CPUSet
    /// The nodes that the process may allocate on (`Mems_allowed_list`), ascending; empty when unknown, meaning all.
    public let allowedMemoryNodes: [Int]
    /// The limits of the process's control groups.
    public let cgroup: CgroupLimits
    /// The machine's memory in bytes (`MemTotal`); nil when unknown.
    public let memoryBytes: Int?
    /// The hypervisor or the cloud's name for it ("xen", "kvm", "QEMU", "Amazon EC2"), "unnamed" when only its presence
    /// is known, nil when none is seen (on Arm the kernel does not tell).
    public let hypervisor: String?
    /// What was missing or malformed, and what was assumed instead; one sentence each.
    public let notes: [String]

    /// A machine from its parts; files are read by `MachineTopology(reading:)`, this is for machines made up in tests.
    ///
    /// Parts are sorted, and of two with the same id the first is kept; an empty list of CPUs becomes CPU 0, an empty
    /// list of nodes node 0 with all online CPUs.
    public init(
        cpus: [LogicalCPU],
        possibleCPUs: CPUSet = [],
        isolatedCPUs: CPUSet = [],
        nodes: [NUMANode] = [],
        caches: [CPUCache] = [],
        interfaces: [NetworkInterface] = [],
        affinity: CPUSet? = nil,
        allowedMemoryNodes: [Int] = [],
        cgroup: CgroupLimits = CgroupLimits(),
        memoryBytes: Int? = nil,
        hypervisor: String? = nil,
        notes: [String] = []
    ) {
        self.cpus = cpus.isEmpty ? [LogicalCPU(id: 0)] : sortedUnique(cpus, by: \.id)
        let present = CPUSet(self.cpus.map(\.id))
        let online = CPUSet(self.cpus.lazy.filter(\.isOnline).map(\.id))
        self.possibleCPUs = possibleCPUs.union(present)
        self.isolatedCPUs = isolatedCPUs
        self.nodes =
            nodes.isEmpty
            ? [NUMANode(id: 0, cpus: online, memoryTotalBytes: memoryBytes)]
            : sortedUnique(nodes, by: \.id)
        self.caches = caches.sorted {
            ($0.level, $0.cpus.first ?? 0, $0.contents.rawValue) < ($1.level, $1.cpus.first ?? 0, $1.contents.rawValue)
        }
        l3Groups = self.caches.filter { $0.level == 3 }
        self.interfaces = sortedUnique(interfaces, by: \.name)
        self.affinity = affinity ?? online
        self.allowedMemoryNodes = allowedMemoryNodes.sorted()
        self.cgroup = cgroup
        self.memoryBytes = memoryBytes
        self.hypervisor = hypervisor
        self.notes = notes
    }

    /// The CPUs that the kernel schedules on now.
    public var onlineCPUs: CPUSet { CPUSet(cpus.lazy.filter(\.isOnline).map(\.id)) }

    /// The CPUs that this process may use: affinity mask ∩ cgroup cpuset ∩ online.
    public var usableCPUs: CPUSet {
        let allowed = affinity.intersection(onlineCPUs)
        return cgroup.cpuset.map { allowed.intersection($0.value) } ?? allowed
    }

    /// The quota in CPUs if it can be felt, that is if it is below the number of usable CPUs; else nil.
    ///
    /// A quota of 4 on 4 usable CPUs never freezes anybody: no more than 4 of our threads run at a time.
    public var effectiveQuotaCPUs: Double? {
        guard let quota = cgroup.quotaCPUs?.value, quota > 0, quota < Double(usableCPUs.count) else { return nil }
        return quota
    }

    /// The tightest of the machine's memory and the cgroup's limit, in bytes; nil when neither is known.
    public var usableMemoryBytes: Int? {
        [memoryBytes, cgroup.memoryBytes?.value].compactMap(\.self).min()
    }

    /// The CPU with an id, or nil when none such is plugged in.
    public func cpu(_ id: Int) -> LogicalCPU? {
        element(of: cpus, withID: id, \.id)
    }

    /// The node with an id, or nil when there is none such.
    public func node(_ id: Int) -> NUMANode? {
        element(of: nodes, withID: id, \.id)
    }

    /// The CPUs of a core, itself included, ascending; empty when no CPU has that id.
    public func smtSiblings(of id: Int) -> CPUSet {
        guard let core = cpu(id)?.core else { return [] }
        return CPUSet(cpus.lazy.filter { $0.core == core }.map(\.id))
    }

    /// The nodes that an interface's hardware hangs on, ascending: its own, or those of the interfaces it stands on.
    ///
    /// - Returns: Empty when no device or node is known; nil when there is no interface of that name.
    public func nodes(ofInterface name: String) -> [Int]? {
        var found: Set<Int> = []
        var visited: Set<String> = []
        var open = [name]
        while let next = open.popLast() {
            guard visited.insert(next).inserted, let interface = element(of: interfaces, withID: next, \.name) else {
                continue
            }
            if let node = interface.node { found.insert(node) } else { open += interface.lowerInterfaces }
        }
        return element(of: interfaces, withID: name, \.name) == nil ? nil : found.sorted()
    }
}

/// Sorted by a key; of elements with the same key the first stays.
private func sortedUnique<Element, Key: Hashable & Comparable>(
    _ elements: [Element],
    by key: (Element) -> Key
) -> [Element] {
    var seen: Set<Key> = []
    return elements.filter { seen.insert(key($0)).inserted }.sorted { key($0) < key($1) }
}

/// Binary search in a list that is sorted by a key.
private func element<Element, Key: Comparable>(
    of sorted: [Element],
    withID id: Key,
    _ key: (Element) -> Key
) -> Element? {
    var low = 0
    var high = sorted.count
    while low < high {
        let middle = (low + high) / 2
        if key(sorted[middle]) < id { low = middle + 1 } else { high = middle }
    }
    return low < sorted.count && key(sorted[low]) == id ? sorted[low] : nil
}
