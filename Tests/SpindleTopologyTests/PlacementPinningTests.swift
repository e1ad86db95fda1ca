// SPDX-License-Identifier: Apache-2.0

import SpindleTopology
import Testing

@Suite("Placement under quotas and cpusets")
struct PlacementPinningTests {
    private func plan(_ fixture: Fixture, _ request: PlacementRequest = PlacementRequest()) throws -> Placement {
        try Placement.plan(request, on: fixture.machine)
    }

    @Test("a quota of 2.5 CPUs gives two reactors that float over the shared CPUs")
    func quota() throws {
        let placement = try plan(.containerQuota)
        #expect(placement.reactors.count == 2)
        #expect(!placement.isPinned)
        #expect(placement.pinReason == .quotaOnSharedCPUs(cpus: 2.5))
        #expect(placement.reactors.allSatisfy { $0.cpu == nil && $0.allowedCPUs == CPUSet(0...7) })
        #expect(placement.reactors.allSatisfy { $0.node == 0 && $0.memoryNode == 0 })
        #expect(placement.leftOut.isEmpty, "no CPU is left out while threads float over all")
    }

    @Test(
        "the quota bounds the automatic number: its whole part, at least one",
        arguments: [(0.1, 1), (0.99, 1), (1, 1), (1.99, 1), (2, 2), (7.5, 7), (8, 8), (100, 8), (1e300, 8)]
    )
    func quotaCounts(quota: Double, count: Int) throws {
        let machine = MachineTopology(
            cpus: (0..<8).map { LogicalCPU(id: $0) },
            cgroup: CgroupLimits(version: .v2, quotaCPUs: CgroupLimits.Limit(quota, path: "/cpu.max"))
        )
        #expect(try Placement.plan(PlacementRequest(), on: machine).reactors.count == count)
    }

    @Test("pinned under a quota, the CPUs beyond it are left out because of it")
    func pinnedUnderQuota() throws {
        let placement = try plan(.containerQuota, PlacementRequest(pin: .always))
        #expect(placement.reactors.map(\.cpu) == [0, 1])
        #expect(placement.pinReason == .requested)
        #expect(placement.leftOut.map(\.cpu) == Array(2...7))
        #expect(placement.leftOut.allSatisfy { $0.reason == .quota(cpus: 2.5) })
        #expect(placement.warnings.count == 1, "others may be bound to the same CPUs")
    }

    @Test("an exclusive cpuset is pinned to in spite of its quota")
    func exclusive() throws {
        let placement = try plan(.exclusiveCPUSet)
        #expect(placement.reactors.map(\.cpu) == [4, 5])
        #expect(placement.pinReason == .exclusiveCPUSet)
        #expect(placement.warnings.isEmpty)
    }

    @Test("a shared cpuset without a quota is pinned to")
    func sharedCPUSet() throws {
        let placement = try plan(.containerCPUSet)
        #expect(placement.reactors.map(\.cpu) == [2, 3, 4, 5])
        #expect(placement.pinReason == .noQuota)
    }

    @Test("a quota as large as the cpuset can't be felt, so it is pinned to")
    func quotaOfTheCPUSet() throws {
        let placement = try plan(.cgroupHybrid)
        #expect(placement.reactors.map(\.cpu) == [0, 1, 2, 3])
        #expect(placement.pinReason == .noQuota)
    }

    @Test("in a shared cpuset with a quota below its size threads float, though the mask is narrower than the machine")
    func sharedPool() throws {
        let placement = try plan(.containerSharedPool)
        #expect(placement.reactors.count == 3)
        #expect(placement.pinReason == .quotaOnSharedCPUs(cpus: 3))
        #expect(placement.reactors.allSatisfy { $0.allowedCPUs == CPUSet(2...7) })
        #expect(placement.leftOut.map(\.reason) == [.outsideCgroupCPUSet, .outsideCgroupCPUSet])
    }

    private func machine(affinity: CPUSet, isolated: CPUSet = []) -> MachineTopology {
        MachineTopology(
            cpus: (0..<8).map { LogicalCPU(id: $0) },
            isolatedCPUs: isolated,
            affinity: affinity,
            cgroup: CgroupLimits(version: .v2, quotaCPUs: CgroupLimits.Limit(2, path: "/cpu.max"))
        )
    }

    @Test("a mask that somebody narrowed is pinned to, one that isolcpus narrowed is not")
    func narrowMask() throws {
        let taskset = try Placement.plan(PlacementRequest(), on: machine(affinity: [2, 3, 4]))
        #expect(taskset.pinReason == .narrowAffinity)
        #expect(taskset.reactors.map(\.cpu) == [2, 3])
        let ordinary = try Placement.plan(
            PlacementRequest(),
            on: machine(affinity: CPUSet(0...3), isolated: CPUSet(4...7))
        )
        #expect(ordinary.pinReason == .quotaOnSharedCPUs(cpus: 2))
        let isolated = try Placement.plan(
            PlacementRequest(),
            on: machine(affinity: [4, 5, 6], isolated: CPUSet(4...7))
        )
        #expect(isolated.pinReason == .narrowAffinity)
    }

    @Test("never floats, also without a quota; over several nodes there is no memory node")
    func never() throws {
        let placement = try plan(.twoNodesSMT, PlacementRequest(cores: .count(4), pin: .never))
        #expect(placement.pinReason == .refused)
        #expect(placement.reactors.allSatisfy { $0.allowedCPUs.count == 32 && $0.node == nil && $0.memoryNode == nil })
        #expect(placement.reactors.allSatisfy { $0.l3Group == nil })
        let near = try plan(.twoNodesSMT, PlacementRequest(cores: .count(4), near: "eth1", pin: .never))
        #expect(near.reactors.allSatisfy { $0.allowedCPUs.listText == "8-15,24-31" && $0.memoryNode == 1 })
        #expect(near.leftOut.allSatisfy { $0.reason == .otherNode(0) })
        let many = try plan(.twoNodesSMT, PlacementRequest(cores: .count(20), near: "eth1", pin: .never))
        #expect(many.reactors.allSatisfy { $0.allowedCPUs.count == 32 })
        #expect(many.warnings == ["20 reactors don't fit on node 1; threads float over all nodes"])
        let packed = try plan(.twoNodesSMT, PlacementRequest(strategy: .pack, pin: .never))
        #expect(packed.warnings == ["threads float, so packing has no effect; name a node or bind them"])
    }

    @Test("floating without SMT leaves the siblings out of the mask")
    func floatingWithoutSMT() throws {
        let placement = try plan(.twoNodesSMT, PlacementRequest(pin: .never, allowSMT: false))
        #expect(placement.reactors.count == 16)
        #expect(placement.reactors[0].allowedCPUs == CPUSet(0...15))
    }

    @Test("more reactors than the quota can run are allowed on request, and warned about")
    func aboveQuota() throws {
        let placement = try plan(.containerQuota, PlacementRequest(cores: .count(4)))
        #expect(placement.reactors.count == 4)
        #expect(
            placement.warnings == [
                "4 reactors share a CPU quota of 2.5: when it is spent all of them are frozen together; 2 would fit"
            ]
        )
        #expect(try plan(.containerQuota, PlacementRequest(cores: .all)).reactors.count == 8)
    }

    @Test("a quota below one CPU is warned about")
    func tinyQuota() throws {
        let machine = MachineTopology(
            cpus: [LogicalCPU(id: 0)],
            cgroup: CgroupLimits(version: .v2, quotaCPUs: CgroupLimits.Limit(0.25, path: "/cpu.max"))
        )
        let placement = try Placement.plan(PlacementRequest(), on: machine)
        #expect(
            placement.warnings
                == ["the CPU quota of 0.25 is less than one CPU: a busy reactor is frozen in every period"]
        )
    }

    @Test("poll mode under a quota is allowed when oversubscribed, and where the quota can't be felt")
    func pollMode() throws {
        let placement = try plan(.containerQuota, PlacementRequest(oversubscribe: true, pollMode: true))
        #expect(placement.warnings == ["poll mode spends the CPU quota of 2.5 on spinning; expect throttling"])
        #expect(try plan(.cgroupHybrid, PlacementRequest(pollMode: true)).warnings.isEmpty)
        #expect(try plan(.oneNode, PlacementRequest(pollMode: true)).warnings.isEmpty)
    }
}
