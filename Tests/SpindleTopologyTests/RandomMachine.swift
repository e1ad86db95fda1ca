// SPDX-License-Identifier: Apache-2.0

import Foundation
import SpindleTopology

/// The seeds of the property tests: fixed ones, so that CI repeats itself, and a fresh one, so that it also learns.
///
/// Each seed is a test argument, so a failure prints it; `SPINDLE_SEED=<seed>` then runs that one alone, and
/// `SPINDLE_SEED_COUNT=2000` looks further.
enum PropertySeeds {
    static let all: [UInt64] = {
        let environment = ProcessInfo.processInfo.environment
        if let seed = environment["SPINDLE_SEED"].flatMap({ UInt64($0) }) { return [seed] }
        let count = environment["SPINDLE_SEED_COUNT"].flatMap { UInt64($0) } ?? 50
        return Array(0..<count) + [UInt64.random(in: 1 << 32 ... .max)]
    }()
}

/// SplitMix64 (Steele, Lea, Flood 2014): small, and the same everywhere.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) {
        state = seed
    }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}

/// The parts of a made-up machine, so that a test can shuffle them.
struct MachineParts {
    var cpus: [LogicalCPU] = []
    var nodes: [NUMANode] = []
    var caches: [CPUCache] = []
    var interfaces: [NetworkInterface] = []
    var affinity = CPUSet()
    var cgroup = CgroupLimits()
    var memoryBytes: Int?

    var machine: MachineTopology {
        MachineTopology(
            cpus: cpus,
            nodes: nodes,
            caches: caches,
            interfaces: interfaces,
            affinity: affinity,
            cgroup: cgroup,
            memoryBytes: memoryBytes
        )
    }

    /// Equal nodes: every node has the same cores, groups and threads, and every CPU may be used.
    static func regular(using random: inout SeededGenerator) -> MachineParts {
        var parts = MachineParts()
        let nodeCount = Int.random(in: 1...4, using: &random)
        let groupsPerNode = Int.random(in: 1...3, using: &random)
        let coresPerGroup = Int.random(in: 1...4, using: &random)
        let threads = Int.random(in: 1...2, using: &random)
        let coreCount = nodeCount * groupsPerNode * coresPerGroup
        let nodeIDs = nodeCount > 1 && Bool.random(using: &random) ? [0, 8, 72, 255] : [0, 1, 2, 3]
        for core in 0..<coreCount {
            for thread in 0..<threads {
                let group = core / coresPerGroup
                parts.cpus.append(
                    LogicalCPU(
                        id: core + thread * coreCount,
                        core: core,
                        kind: core % coresPerGroup == 3 ? .efficiency : .performance,
                        node: nodeIDs[group / groupsPerNode],
                        l3Group: group
                    )
                )
            }
        }
        for group in 0..<(nodeCount * groupsPerNode) {
            let cpus = CPUSet(parts.cpus.lazy.filter { $0.l3Group == group }.map(\.id))
            parts.caches.append(CPUCache(level: 3, contents: .unified, sizeBytes: 32 << 20, cpus: cpus))
        }
        for id in nodeIDs.prefix(nodeCount) {
            let cpus = CPUSet(parts.cpus.lazy.filter { $0.node == id }.map(\.id))
            let distances = Dictionary(uniqueKeysWithValues: nodeIDs.prefix(nodeCount).map { ($0, $0 == id ? 10 : 20) })
            parts.nodes.append(NUMANode(id: id, cpus: cpus, memoryTotalBytes: 1 << 34, distances: distances))
            parts.interfaces.append(NetworkInterface(name: "eth\(id)", node: id))
        }
        parts.affinity = CPUSet(parts.cpus.map(\.id))
        parts.memoryBytes = nodeCount << 34
        return parts
    }

    /// A regular machine with CPUs offline, outside the mask and outside a cpuset, a quota, and a CPU-less node.
    static func irregular(using random: inout SeededGenerator) -> MachineParts {
        var parts = regular(using: &random)
        parts.cpus = parts.cpus.map { cpu in
            guard Int.random(in: 0..<8, using: &random) == 0 else { return cpu }
            return LogicalCPU(id: cpu.id, isOnline: false, node: nil)
        }
        let ids = parts.cpus.map(\.id)
        parts.affinity = CPUSet(ids.filter { _ in Int.random(in: 0..<8, using: &random) > 0 })
        if Bool.random(using: &random) {
            let set = CPUSet(ids.filter { _ in Int.random(in: 0..<8, using: &random) > 0 })
            parts.cgroup = CgroupLimits(
                version: .v2,
                cpuset: CgroupLimits.Limit(set, path: "/cpuset"),
                isCPUSetExclusive: Bool.random(using: &random),
                quotaCPUs: Bool.random(using: &random)
                    ? CgroupLimits.Limit(Double.random(in: 0.1...12, using: &random), path: "/cpu.max") : nil,
                memoryBytes: CgroupLimits.Limit(Int.random(in: 1 << 20...1 << 36, using: &random), path: "/memory.max")
            )
        }
        parts.nodes.append(NUMANode(id: 300, cpus: [], memoryTotalBytes: 1 << 36))
        return parts
    }

    mutating func shuffle(using random: inout SeededGenerator) {
        cpus.shuffle(using: &random)
        nodes.shuffle(using: &random)
        caches.shuffle(using: &random)
        interfaces.shuffle(using: &random)
    }
}

extension PlacementRequest {
    /// Any request; it need not be one that can be met.
    static func random(for machine: MachineTopology, using random: inout SeededGenerator) -> PlacementRequest {
        var request = PlacementRequest()
        switch Int.random(in: 0..<6, using: &random) {
        case 0: request.cores = .all
        case 1: request.cores = .physical
        case 2...3: request.cores = .count(Int.random(in: 1...(machine.cpus.count + 2), using: &random))
        default: break
        }
        let ids = machine.cpus.map(\.id)
        if Int.random(in: 0..<4, using: &random) == 0 {
            request.cpuset = CPUSet(machine.usableCPUs.filter { _ in Bool.random(using: &random) })
        }
        if Int.random(in: 0..<8, using: &random) == 0 {
            request.cpuList = (0..<Int.random(in: 0...4, using: &random)).compactMap { _ in
                ids.randomElement(using: &random)
            }
        }
        if Int.random(in: 0..<6, using: &random) == 0 {
            request.numaNode = machine.nodes.randomElement(using: &random)?.id
        }
        if Int.random(in: 0..<4, using: &random) == 0 {
            request.near = machine.interfaces.randomElement(using: &random)?.name
        }
        request.strategy = PlacementRequest.Strategy.allCases.randomElement(using: &random) ?? .spread
        request.pin = PlacementRequest.Pinning.allCases.randomElement(using: &random) ?? .auto
        request.allowSMT = Bool.random(using: &random)
        request.oversubscribe = Int.random(in: 0..<4, using: &random) == 0
        request.pollMode = Int.random(in: 0..<6, using: &random) == 0
        return request
    }
}
