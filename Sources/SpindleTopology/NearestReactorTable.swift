// SPDX-License-Identifier: Apache-2.0

/// Finds the reactor nearest to each possible CPU; see `Placement.nearestReactorByCPU`.
///
/// Reactors are looked up by CPU, core, L3 group and node, so the cost is the number of CPUs times the number of
/// reactors that are equally near, not times all reactors.
struct NearestReactorTable {
    /// The answer for each id from 0 to the highest possible one.
    private(set) var reactorByCPU: [Int] = []

    private let machine: MachineTopology
    private let everyone: [Int]
    private var byCPU: [Int: [Int]] = [:]
    private var byCore: [Int: [Int]] = [:]
    private var byL3: [Int: [Int]] = [:]
    private var byNode: [Int: [Int]] = [:]

    /// - Parameter reactors: Not empty; indices ascend from 0.
    init(reactors: [ReactorPlacement], machine: MachineTopology) {
        self.machine = machine
        everyone = Array(reactors.indices)
        for reactor in reactors {
            if let node = reactor.node { byNode[node, default: []].append(reactor.index) }
            if let group = reactor.l3Group { byL3[group, default: []].append(reactor.index) }
            guard let cpu = reactor.cpu else { continue }
            byCPU[cpu, default: []].append(reactor.index)
            byCore[machine.cpu(cpu)?.core ?? cpu, default: []].append(reactor.index)
        }
        var table = [Int](repeating: 0, count: (machine.possibleCPUs.last ?? 0) + 1)
        var cpuCounts = [Int](repeating: 0, count: reactors.count)
        var reactorsNearNode: [Int: [Int]] = [:]
        func assign(_ id: Int, _ nearest: [Int]) {
            // Of equally near reactors the one that has the fewest CPUs so far; of these the lowest.
            let reactor = nearest.min { (cpuCounts[$0], $0) < (cpuCounts[$1], $1) } ?? 0
            table[id] = reactor
            cpuCounts[reactor] += 1
        }
        // CPUs with a reactor first, so that sharing out the others starts from the true counts; CPUs that nothing
        // runs on now last, so that they don't unbalance those in use.
        for cpu in machine.cpus where byCPU[cpu.id] != nil { assign(cpu.id, byCPU[cpu.id] ?? []) }
        for cpu in machine.cpus where byCPU[cpu.id] == nil && cpu.isOnline {
            assign(cpu.id, nearest(to: cpu, memo: &reactorsNearNode))
        }
        for id in 0..<table.count where byCPU[id] == nil && machine.cpu(id)?.isOnline != true {
            assign(id, everyone)
        }
        reactorByCPU = table
    }

    private func nearest(to cpu: LogicalCPU, memo: inout [Int: [Int]]) -> [Int] {
        if let near = byCore[cpu.core] { return near }
        if let group = cpu.l3Group, let near = byL3[group] { return near }
        guard let id = cpu.node, let node = machine.node(id) else { return everyone }
        if let near = byNode[id] ?? memo[id] { return near }
        let closest = byNode.keys.min { (node.distance(to: $0), $0) < (node.distance(to: $1), $1) }
        let near = closest.flatMap { byNode[$0] } ?? everyone
        memo[id] = near
        return near
    }
}
