// SPDX-License-Identifier: Apache-2.0

import SpindleTopology
import Testing

@Suite("Placement, properties on made-up machines")
struct PlacementPropertyTests {
    /// Twenty requests on one irregular machine; those that can't be met are passed over.
    private func forEachPlan(
        seed: UInt64,
        _ body: (MachineTopology, PlacementRequest, Placement) throws -> Void
    ) rethrows {
        var random = SeededGenerator(seed: seed)
        let machine = MachineParts.irregular(using: &random).machine
        for _ in 0..<20 {
            let request = PlacementRequest.random(for: machine, using: &random)
            guard let placement = try? Placement.plan(request, on: machine) else { continue }
            try body(machine, request, placement)
        }
    }

    @Test("every reactor is on usable CPUs, and its mask is never empty", arguments: PropertySeeds.all)
    func usable(seed: UInt64) {
        forEachPlan(seed: seed) { machine, request, placement in
            #expect(!placement.reactors.isEmpty)
            #expect(placement.reactors.map(\.index) == Array(0..<placement.reactors.count))
            for reactor in placement.reactors {
                #expect(!reactor.allowedCPUs.isEmpty)
                #expect(reactor.allowedCPUs.isSubset(of: machine.usableCPUs))
                #expect(request.cpuset.map { reactor.allowedCPUs.isSubset(of: $0) } != false)
                #expect((reactor.cpu != nil) == placement.isPinned)
                #expect(reactor.cpu.map { reactor.allowedCPUs == [$0] } != false)
                #expect(reactor.memoryBudgetBytes ?? 0 >= 0)
                if let node = request.numaNode { #expect(reactor.node == node) }
                #expect(reactor.memoryNode.map { machine.node($0)?.hasMemory == true } != false)
            }
        }
    }

    @Test("no CPU gets two reactors unless oversubscribed", arguments: PropertySeeds.all)
    func distinct(seed: UInt64) {
        forEachPlan(seed: seed) { _, request, placement in
            let cpus = placement.reactors.compactMap(\.cpu)
            if !request.oversubscribe {
                #expect(Set(cpus).count == cpus.count)
                let allowed = placement.reactors.reduce(into: CPUSet()) { $0 = $0.union($1.allowedCPUs) }
                #expect(placement.reactors.count <= allowed.count)
            }
        }
    }

    @Test("every possible CPU is used, floated over, or left out with a reason", arguments: PropertySeeds.all)
    func everyCPUIsExplained(seed: UInt64) {
        forEachPlan(seed: seed) { machine, _, placement in
            let used = placement.reactors.reduce(into: CPUSet()) { $0 = $0.union($1.allowedCPUs) }
            let leftOut = CPUSet(placement.leftOut.map(\.cpu))
            #expect(leftOut.count == placement.leftOut.count)
            #expect(used.isDisjoint(with: leftOut))
            #expect(used.union(leftOut) == machine.possibleCPUs)
            #expect(placement.leftOut.map(\.cpu) == Array(leftOut))
        }
    }

    @Test("no SMT sibling is used while a core is free, unless packed or listed", arguments: PropertySeeds.all)
    func coresFirst(seed: UInt64) {
        forEachPlan(seed: seed) { machine, request, placement in
            guard placement.isPinned, request.strategy == .spread, request.cpuList == nil else { return }
            let used = placement.reactors.compactMap { $0.cpu.flatMap { machine.cpu($0) } }
            let usedCores = Set(used.map(\.core))
            let freeCores = placement.leftOut.filter { left in
                switch left.reason {
                case .moreThanAsked, .efficiencyCore, .quota:
                    !usedCores.contains(machine.cpu(left.cpu)?.core ?? -1)
                default: false
                }
            }
            if !freeCores.isEmpty { #expect(usedCores.count == Set(used.map(\.id)).count) }
            if !request.allowSMT { #expect(usedCores.count == Set(used.map(\.id)).count) }
        }
    }

    @Test("on equal nodes a spread differs by at most 1 per node, and per L3 group", arguments: PropertySeeds.all)
    func even(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        var parts = MachineParts.regular(using: &random)
        parts.cpus = parts.cpus.map {
            LogicalCPU(id: $0.id, core: $0.core, node: $0.node, l3Group: $0.l3Group)
        }
        let machine = parts.machine
        for count in 1...machine.cpus.count {
            let placement = try Placement.plan(PlacementRequest(cores: .count(count)), on: machine)
            let byNode = machine.nodes.map { node in placement.reactors.count { $0.node == node.id } }
            #expect((byNode.max() ?? 0) - (byNode.min() ?? 0) <= 1, "\(count) reactors")
            let byGroup = machine.l3Groups.indices.map { group in placement.reactors.count { $0.l3Group == group } }
            #expect((byGroup.max() ?? 0) - (byGroup.min() ?? 0) <= 1, "\(count) reactors")
        }
    }

    @Test("packed reactors use no more nodes than they need", arguments: PropertySeeds.all)
    func packedNodes(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let machine = MachineParts.regular(using: &random).machine
        let perNode = machine.nodes[0].cpus.count
        for count in 1...machine.cpus.count {
            let request = PlacementRequest(cores: .count(count), strategy: .pack)
            let placement = try Placement.plan(request, on: machine)
            #expect(Set(placement.reactors.map(\.node)).count == (count + perNode - 1) / perNode)
        }
    }

    @Test("the order in which a machine's parts are listed changes nothing", arguments: PropertySeeds.all)
    func permutation(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        var parts = MachineParts.irregular(using: &random)
        let machine = parts.machine
        let requests = (0..<10).map { _ in PlacementRequest.random(for: machine, using: &random) }
        parts.shuffle(using: &random)
        let shuffled = parts.machine
        #expect(machine == shuffled)
        for request in requests {
            #expect((try? Placement.plan(request, on: machine)) == (try? Placement.plan(request, on: shuffled)))
        }
    }

    @Test("every possible CPU has a nearest reactor, and one that runs on it has itself", arguments: PropertySeeds.all)
    func nearest(seed: UInt64) {
        forEachPlan(seed: seed) { machine, _, placement in
            #expect(placement.nearestReactorByCPU.count == (machine.possibleCPUs.last ?? 0) + 1)
            #expect(placement.nearestReactorByCPU.allSatisfy { placement.reactors.indices.contains($0) })
            let first = Dictionary(
                placement.reactors.compactMap { reactor in reactor.cpu.map { ($0, reactor.index) } },
                uniquingKeysWith: { first, _ in first }
            )
            for (cpu, reactor) in first { #expect(placement.nearestReactor(toCPU: cpu) == reactor) }
        }
    }

    @Test("a benchmark's sides share no core unless it is said", arguments: PropertySeeds.all)
    func benchmark(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        let machine = MachineParts.irregular(using: &random).machine
        for _ in 0..<20 {
            let request = PlacementRequest.random(for: machine, using: &random)
            guard let both = try? BenchmarkPlacement.plan(request, on: machine) else { continue }
            func cores(_ placement: Placement) -> Set<Int> {
                Set(placement.reactors.flatMap { Array($0.allowedCPUs) }.compactMap { machine.cpu($0)?.core })
            }
            #expect(cores(both.server).isDisjoint(with: cores(both.load)) != both.sharesCores)
            #expect(both.sharesCores == false || !both.warnings.isEmpty)
            #expect(isWellFormedJSON(both.json.compactText))
            for placement in [both.server, both.load] {
                #expect(placement.reactors.allSatisfy { $0.allowedCPUs.isSubset(of: machine.usableCPUs) })
                let used = placement.reactors.reduce(into: CPUSet()) { $0 = $0.union($1.allowedCPUs) }
                #expect(used.union(CPUSet(placement.leftOut.map(\.cpu))) == machine.possibleCPUs)
            }
        }
    }

    @Test("a benchmark can be planned wherever a server can", arguments: PropertySeeds.all)
    func benchmarkIsPossible(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        let machine = MachineParts.irregular(using: &random).machine
        for _ in 0..<20 {
            let request = PlacementRequest.random(for: machine, using: &random)
            guard (try? Placement.plan(request, on: machine)) != nil else { continue }
            #expect(throws: Never.self, "\(request)") { try BenchmarkPlacement.plan(request, on: machine) }
        }
    }

    @Test("no line of a drawing is wider than asked, and the JSON is well-formed", arguments: PropertySeeds.all)
    func drawing(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let machine = MachineParts.irregular(using: &random).machine
        let request = PlacementRequest.random(for: machine, using: &random)
        let placement = try? Placement.plan(request, on: machine)
        for columns in [80, 100] {
            let drawing = TopologyDrawing(of: machine, placement: placement, columns: columns)
            #expect(drawing.text.split(separator: "\n").allSatisfy { $0.count <= columns })
            #expect(isWellFormedJSON(drawing.json.indentedText))
            #expect(isWellFormedJSON(drawing.json.compactText))
        }
    }
}
