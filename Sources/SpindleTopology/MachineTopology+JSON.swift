// SPDX-License-Identifier: Apache-2.0

extension MachineTopology {
    /// The machine as JSON: names in lowerCamelCase with their units, CPU sets in the list format ("0-3,8").
    ///
    /// Names are stable: new ones may be added, none changes its meaning. What is unknown is `null`.
    public var json: JSONValue {
        let siblingsByCore = Dictionary(grouping: cpus, by: \.core).mapValues { CPUSet($0.map(\.id)) }
        return .object([
            .init("possibleCPUs", .string(possibleCPUs.listText)),
            .init("onlineCPUs", .string(onlineCPUs.listText)),
            .init("isolatedCPUs", .string(isolatedCPUs.listText)),
            .init("affinityMask", .string(affinity.listText)),
            .init("usableCPUs", .string(usableCPUs.listText)),
            .init("allowedMemoryNodes", .integers(allowedMemoryNodes)),
            .init("memoryBytes", .integer(memoryBytes)),
            .init("usableMemoryBytes", .integer(usableMemoryBytes)),
            .init("hypervisor", .string(hypervisor)),
            .init("cgroup", cgroup.json),
            .init("cpus", .array(cpus.map { $0.json(siblings: siblingsByCore[$0.core] ?? []) })),
            .init("caches", .array(caches.map(\.json))),
            .init("nodes", .array(nodes.map(\.json))),
            .init("interfaces", .array(interfaces.map(\.json))),
            .init("notes", .strings(notes)),
        ])
    }
}

extension CgroupLimits {
    fileprivate var json: JSONValue {
        .object([
            .init("version", .string(version.rawValue)),
            .init("cpuset", .string(cpuset?.value.listText)),
            .init("cpusetPath", .string(cpuset?.path)),
            .init("exclusiveCPUSet", .bool(isCPUSetExclusive)),
            .init("quotaCPUs", .number(quotaCPUs?.value)),
            .init("quotaPath", .string(quotaCPUs?.path)),
            .init("memoryLimitBytes", .integer(memoryBytes?.value)),
            .init("memoryLimitPath", .string(memoryBytes?.path)),
            .init("throttlePaths", .strings(throttlePaths)),
        ])
    }
}

extension LogicalCPU {
    fileprivate func json(siblings: CPUSet) -> JSONValue {
        .object([
            .init("id", .integer(id)),
            .init("online", .bool(isOnline)),
            .init("core", .integer(core)),
            .init("smtSiblings", .integers(siblings.subtracting([id]))),
            .init("package", .integer(package)),
            .init("die", .integer(die)),
            .init("cluster", .integer(cluster)),
            .init("kind", .string(kind.rawValue)),
            .init("maximumFrequencyKilohertz", .integer(maximumFrequencyKilohertz)),
            .init("node", .integer(node)),
            .init("l3Group", .integer(l3Group)),
        ])
    }
}

extension CPUCache {
    fileprivate var json: JSONValue {
        .object([
            .init("level", .integer(level)),
            .init("contents", .string(contents.rawValue)),
            .init("sizeBytes", .integer(sizeBytes)),
            .init("cpus", .string(cpus.listText)),
        ])
    }
}

extension NUMANode {
    fileprivate var json: JSONValue {
        .object([
            .init("id", .integer(id)),
            .init("cpus", .string(cpus.listText)),
            .init("memoryTotalBytes", .integer(memoryTotalBytes)),
            .init("memoryFreeBytes", .integer(memoryFreeBytes)),
            .init(
                "distances",
                .array(
                    distances.sorted { $0.key < $1.key }.map {
                        .object([.init("node", .integer($0.key)), .init("distance", .integer($0.value))])
                    }
                )
            ),
        ])
    }
}

extension NetworkInterface {
    fileprivate var json: JSONValue {
        .object([
            .init("name", .string(name)),
            .init("node", .integer(node)),
            .init("virtual", .bool(isVirtual)),
            .init("lowerInterfaces", .strings(lowerInterfaces)),
        ])
    }
}
