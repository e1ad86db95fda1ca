// SPDX-License-Identifier: Apache-2.0

import SpindleTopology
import Testing

@Suite("Placement.nearestReactor")
struct NearestReactorTests {
    @Test("the same CPU, then its sibling, then the node")
    func twoNodes() throws {
        let machine = Fixture.twoNodesSMT.machine
        let placement = try Placement.plan(PlacementRequest(cpuList: [8, 0, 1]), on: machine)
        #expect(placement.nearestReactor(toCPU: 0) == 1)
        #expect(placement.nearestReactor(toCPU: 16) == 1)
        #expect(placement.nearestReactor(toCPU: 17) == 2)
        for cpu in [9, 15, 24, 31] { #expect(placement.nearestReactor(toCPU: cpu) == 0) }
    }

    @Test("equally near reactors share the CPUs evenly")
    func evenShares() throws {
        let placement = try Placement.plan(PlacementRequest(cores: .count(4)), on: Fixture.twoNodesSMT.machine)
        for reactor in 0..<4 { #expect(placement.nearestReactorByCPU.count { $0 == reactor } == 8) }
    }

    @Test("the L3 group goes before the node")
    func l3Group() throws {
        let machine = Fixture.l3Groups.machine
        let placement = try Placement.plan(PlacementRequest(cpuList: [2, 0, 8]), on: machine)
        #expect(placement.nearestReactorByCPU == [1, 1, 0, 0, 0, 1, 0, 1, 2, 2, 2, 2, 2, 2, 2, 2])
    }

    @Test("a node without reactors goes to the nearest node that has some")
    func distance() throws {
        let machine = Fixture.fourNodesSparse.machine
        let placement = try Placement.plan(PlacementRequest(cpuList: [0, 64]), on: machine)
        for cpu in 128...131 { #expect(placement.nearestReactor(toCPU: cpu) == 1) }
    }

    @Test("offline and unknown CPUs have an answer too")
    func unknown() throws {
        let placement = try Placement.plan(PlacementRequest(), on: Fixture.offlineCPUs.machine)
        #expect(placement.nearestReactorByCPU.count == 16)
        for cpu in [3, 7, 15, 16, 100_000, -1, Int.min, Int.max] {
            #expect(placement.reactors.indices.contains(placement.nearestReactor(toCPU: cpu)))
        }
    }

    @Test("floating reactors share the CPUs evenly")
    func floating() throws {
        let placement = try Placement.plan(PlacementRequest(), on: Fixture.containerQuota.machine)
        #expect(placement.nearestReactorByCPU == [0, 1, 0, 1, 0, 1, 0, 1])
    }

    @Test("of reactors on one CPU the first gets its packets")
    func oversubscribed() throws {
        let request = PlacementRequest(cores: .count(4), oversubscribe: true)
        let machine = MachineTopology(cpus: [LogicalCPU(id: 0), LogicalCPU(id: 1)])
        #expect(try Placement.plan(request, on: machine).nearestReactorByCPU == [0, 1])
    }
}
