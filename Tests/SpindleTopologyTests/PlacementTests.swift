// SPDX-License-Identifier: Apache-2.0

import SpindleTopology
import Testing

@Suite("Placement")
struct PlacementTests {
    private func plan(_ fixture: Fixture, _ request: PlacementRequest = PlacementRequest()) throws -> Placement {
        try Placement.plan(request, on: fixture.machine)
    }

    private func cpus(_ placement: Placement) -> [Int?] { placement.reactors.map(\.cpu) }

    private func reason(_ placement: Placement, _ cpu: Int) -> LeftOutReason? {
        placement.leftOut.first { $0.cpu == cpu }?.reason
    }

    // How many, and where.

    @Test("without wishes every usable CPU gets a reactor, pinned, with memory on its node")
    func automatic() throws {
        let placement = try plan(.oneNode)
        #expect(cpus(placement) == [0, 1, 2, 3])
        #expect(placement.isPinned)
        #expect(placement.pinReason == .noQuota)
        #expect(placement.reactors.map(\.index) == [0, 1, 2, 3])
        #expect(placement.reactors.allSatisfy { $0.node == 0 && $0.memoryNode == 0 && $0.l3Group == 0 })
        #expect(placement.reactors.map(\.allowedCPUs) == [[0], [1], [2], [3]])
        #expect(placement.leftOut.isEmpty)
        #expect(placement.warnings.isEmpty)
    }

    @Test("physical cores come first, spread over both nodes; siblings are named as such")
    func physicalFirst() throws {
        let placement = try plan(.twoNodesSMT, PlacementRequest(cores: .count(4)))
        #expect(cpus(placement) == [0, 1, 8, 9])
        #expect(placement.reactors.map(\.node) == [0, 0, 1, 1])
        #expect(placement.reactors.map(\.smtSiblings) == [[16], [17], [24], [25]])
        #expect(reason(placement, 16) == .smtSibling(of: 0))
        #expect(reason(placement, 2) == .moreThanAsked(reactorCount: 4))
        #expect(placement.leftOut.count == 28)
    }

    @Test("SMT siblings are used when the cores are used up, the core of reactor 0 last")
    func siblingsLast() throws {
        let placement = try plan(.twoNodesSMT, PlacementRequest(cores: .count(18)))
        #expect(cpus(placement) == Array(0...7) + [23] + Array(8...15) + [31])
        #expect(placement.reactors[7].coreSharers == [8])
        #expect(placement.reactors[0].coreSharers == [])
    }

    @Test(".physical and allowSMT false both leave the siblings out", arguments: [true, false])
    func noSMT(byCores: Bool) throws {
        let request = byCores ? PlacementRequest(cores: .physical) : PlacementRequest(allowSMT: false)
        let placement = try plan(.twoNodesSMT, request)
        #expect(cpus(placement) == Array(0...15))
        #expect(placement.leftOut.map(\.reason) == (0...15).map { .smtSibling(of: $0) })
    }

    @Test("spreading takes L3 groups in turn; packing fills them")
    func l3Groups() throws {
        #expect(cpus(try plan(.l3Groups, PlacementRequest(cores: .count(8)))) == [0, 2, 4, 6, 8, 10, 12, 14])
        let packed = try plan(.l3Groups, PlacementRequest(cores: .count(6), strategy: .pack))
        #expect(cpus(packed) == [0, 1, 2, 3, 4, 5])
    }

    @Test("packing stays on one node, with SMT siblings rather than a second node")
    func packed() throws {
        let eight = try plan(.twoNodesSMT, PlacementRequest(cores: .count(8), strategy: .pack))
        #expect(cpus(eight) == Array(0...7))
        let twelve = try plan(.twoNodesSMT, PlacementRequest(cores: .count(12), strategy: .pack))
        #expect(cpus(twelve) == Array(0...7) + [20, 21, 22, 23])
        let twenty = try plan(.twoNodesSMT, PlacementRequest(cores: .count(20), strategy: .pack))
        #expect(cpus(twenty) == Array(0...7) + Array(16...23) + [8, 9, 10, 11])
    }

    @Test("packing begins on the node where the reactors fit")
    func packFits() throws {
        let machine = MachineTopology(
            cpus: (0..<10).map { LogicalCPU(id: $0, node: $0 < 2 ? 0 : $0 < 6 ? 1 : 2) },
            nodes: [
                NUMANode(id: 0, cpus: [0, 1]), NUMANode(id: 1, cpus: CPUSet(2...5)),
                NUMANode(id: 2, cpus: CPUSet(6...9)),
            ]
        )
        let four = try Placement.plan(PlacementRequest(cores: .count(4), strategy: .pack), on: machine)
        #expect(cpus(four) == [2, 3, 4, 5])
        let five = try Placement.plan(PlacementRequest(cores: .count(5), strategy: .pack), on: machine)
        #expect(cpus(five) == [2, 3, 4, 5, 0])
    }

    @Test("performance cores come before efficiency cores, these before SMT siblings")
    func coreKinds() throws {
        let six = try plan(.efficiencyCores, PlacementRequest(cores: .count(6)))
        #expect(cpus(six) == [0, 2, 4, 6, 8, 9])
        #expect(reason(six, 10) == .efficiencyCore)
        #expect(reason(six, 1) == .smtSibling(of: 0))
        #expect(cpus(try plan(.efficiencyCores)) == [0, 2, 4, 6] + Array(8...15) + [1, 3, 5, 7])
        #expect(cpus(try plan(.armWithoutSMTFiles, PlacementRequest(cores: .count(3)))) == [4, 5, 6])
    }

    @Test("a requested node gets all reactors")
    func numaNode() throws {
        let placement = try plan(.fourNodesSparse, PlacementRequest(numaNode: 8))
        #expect(cpus(placement) == [64, 65, 66, 67])
        #expect(reason(placement, 0) == .otherNode(0))
    }

    @Test("near fills the interface's node first, then the others")
    func near() throws {
        let four = try plan(.twoNodesSMT, PlacementRequest(cores: .count(4), near: "eth1"))
        #expect(cpus(four) == [8, 9, 10, 11])
        let ten = try plan(.twoNodesSMT, PlacementRequest(cores: .count(10), near: "eth1"))
        #expect(cpus(ten) == Array(8...15) + [0, 1])
        let vlan = try plan(.twoNodesSMT, PlacementRequest(cores: .count(2), near: "vlan7", strategy: .pack))
        #expect(cpus(vlan) == [8, 9])
        let sparse = try plan(.fourNodesSparse, PlacementRequest(cores: .count(6), near: "ib0"))
        #expect(cpus(sparse) == [128, 129, 130, 131, 64, 65], "node 8 is nearer to node 72 than node 0")
    }

    @Test("near an interface of several nodes, or of none, is said")
    func nearUnclear() throws {
        let bond = try plan(.twoNodesSMT, PlacementRequest(cores: .count(1), near: "bond0"))
        #expect(bond.warnings == ["bond0 stands on nodes 0, 1; node 0 is filled first"])
        #expect(try plan(.oneNode, PlacementRequest(near: "eth0")).warnings.isEmpty, "one node is near everything")
        var contents = Fixture.twoNodesSMT.contents
        contents["/sys/class/net/eth1/device/numa_node"] = Array("-1\n".utf8)
        let machine = MachineTopology(reading: SystemFiles(bytes: contents))
        let unknown = try Placement.plan(PlacementRequest(near: "eth1"), on: machine)
        #expect(unknown.warnings == ["the node of eth1 isn't known; placed as without it"])
        let other = try plan(.twoNodesSMT, PlacementRequest(numaNode: 0, near: "eth1"))
        #expect(other.warnings == ["eth1 is on node 1; the requested node 0 goes before it"])
        #expect(other.reactors.allSatisfy { $0.node == 0 })
    }

    @Test("near an interface whose node has no usable CPU takes the nearest node")
    func nearEmptyNode() throws {
        let request = PlacementRequest(cpuset: [0, 1], near: "eth1")
        #expect(cpus(try plan(.twoNodesSMT, request)) == [0, 1])
    }

    @Test("an explicit list is taken in its order and pinned")
    func list() throws {
        let placement = try plan(.twoNodesSMT, PlacementRequest(cpuList: [9, 0, 16]))
        #expect(cpus(placement) == [9, 0, 16])
        #expect(placement.pinReason == .listed)
        #expect(placement.reactors[1].coreSharers == [2])
        #expect(reason(placement, 1) == .notListed)
        #expect(cpus(try plan(.twoNodesSMT, PlacementRequest(cores: .count(2), cpuList: [9, 0, 16]))) == [9, 0])
        #expect(cpus(try plan(.twoNodesSMT, PlacementRequest(cores: .physical, cpuList: [9, 0, 16]))) == [9, 0])
        #expect(cpus(try plan(.containerQuota, PlacementRequest(cpuList: [5, 4, 3, 2]))) == [5, 4, 3, 2])
    }

    @Test("the requested cpuset bounds the placement")
    func cpuset() throws {
        let placement = try plan(.twoNodesSMT, PlacementRequest(cpuset: [2, 3, 18, 30]))
        #expect(cpus(placement) == [2, 3, 18, 30])
        #expect(reason(placement, 0) == .outsideRequestedCPUSet)
    }

    @Test("more reactors than CPUs wrap around when oversubscribed")
    func oversubscribed() throws {
        let placement = try plan(.oneNode, PlacementRequest(cores: .count(6), oversubscribe: true))
        #expect(cpus(placement) == [0, 1, 2, 3, 0, 1])
        #expect(placement.reactors[0].coreSharers == [4])
        #expect(placement.warnings == ["6 reactors on 4 CPUs: those on the same CPU take turns"])
        let listed = PlacementRequest(cores: .count(3), cpuList: [1, 1], oversubscribe: true)
        #expect(cpus(try plan(.oneNode, listed)) == [1, 1, 1])
    }

    @Test("offline CPUs, and those outside mask and cpuset, have their reasons")
    func leftOutReasons() throws {
        let offline = try plan(.offlineCPUs)
        #expect(offline.leftOut.map(\.cpu) == [3] + Array(7...15))
        #expect(offline.leftOut.allSatisfy { $0.reason == .offline })
        #expect(try plan(.containerCPUSet).leftOut.map(\.reason) == Array(repeating: .outsideCgroupCPUSet, count: 4))
        let machine = MachineTopology(cpus: (0..<3).map { LogicalCPU(id: $0) }, affinity: [1, 2])
        #expect(
            try Placement.plan(PlacementRequest(), on: machine).leftOut
                == [LeftOutCPU(cpu: 0, reason: .outsideAffinityMask)]
        )
    }

    // Memory.

    @Test("a node without memory uses the nearest that has some, and says so")
    func memoryNodes() throws {
        let placement = try plan(.fourNodesSparse)
        #expect(placement.reactors.map(\.memoryNode) == [0, 0, 0, 0, 8, 8, 8, 8, 255, 255, 255, 255])
        #expect(placement.warnings.contains("node 72 has no memory for its reactors; they use node 255's"))
    }

    @Test("a memory node outside Mems_allowed is not used")
    func allowedMemoryNodes() throws {
        let machine = MachineTopology(
            cpus: [LogicalCPU(id: 0, node: 0), LogicalCPU(id: 1, node: 1)],
            nodes: [NUMANode(id: 0, cpus: [0]), NUMANode(id: 1, cpus: [1])],
            allowedMemoryNodes: [1]
        )
        #expect(try Placement.plan(PlacementRequest(), on: machine).reactors.map(\.memoryNode) == [1, 1])
    }

    @Test("the budget is the tightest limit without the reserve, divided by the reactors")
    func budget() throws {
        #expect(try plan(.oneNode).reactors.map(\.memoryBudgetBytes) == Array(repeating: 14 << 28, count: 4))
        #expect(try plan(.containerQuota).reactors.map(\.memoryBudgetBytes) == Array(repeating: 7 << 28, count: 2))
        #expect(try plan(.filesMissing).reactors.map(\.memoryBudgetBytes) == [nil, nil, nil, nil])
        let packed = try plan(.twoNodesSMT, PlacementRequest(cores: .count(2), strategy: .pack))
        #expect(packed.reactors.map(\.memoryBudgetBytes) == [28 << 30, 28 << 30], "what their own node has")
    }

    @Test(
        "the reserve is 1/8, at least 256 MiB, at most half",
        arguments: [(64 << 30, 8 << 30), (1 << 30, 256 << 20), (128 << 20, 64 << 20), (0, 0)]
    )
    func reserve(memory: Int, reserve: Int) {
        #expect(Placement.memoryReserveBytes(of: memory) == reserve)
    }

    // Requests that can't be met: each names what was asked and what is allowed.

    static let refusals: [(Fixture, PlacementRequest, PlacementError, String)] = [
        (
            .oneNode, PlacementRequest(cores: .count(5)), .tooManyReactors(requested: 5, usable: [0, 1, 2, 3]),
            "5 reactors on 4 usable CPUs (0-3); ask for 1 to 4, or oversubscribe"
        ),
        (
            .oneNode, PlacementRequest(cores: .count(0)), .reactorCountOutOfRange(0),
            "0 reactors can't be started; allowed are 1 to 4096"
        ),
        (
            .oneNode, PlacementRequest(cores: .count(5_000), oversubscribe: true), .reactorCountOutOfRange(5_000),
            "5000 reactors can't be started; allowed are 1 to 4096"
        ),
        (
            .oneNode, PlacementRequest(cpuset: [1, 9]), .unknownCPU(9, usable: [0, 1, 2, 3]),
            "CPU 9 doesn't exist on this machine; usable are 0-3"
        ),
        (
            .oneNode, PlacementRequest(cpuList: [-1]), .unknownCPU(-1, usable: [0, 1, 2, 3]),
            "CPU -1 doesn't exist on this machine; usable are 0-3"
        ),
        (.oneNode, PlacementRequest(cpuset: []), .emptyList, "the list of CPUs is empty; name at least one CPU"),
        (.oneNode, PlacementRequest(cpuList: []), .emptyList, "the list of CPUs is empty; name at least one CPU"),
        (
            .oneNode, PlacementRequest(cpuList: [1, 1]), .duplicateCPU(1),
            "CPU 1 is listed twice; name each CPU once, or oversubscribe"
        ),
        (
            .offlineCPUs, PlacementRequest(cpuset: [3]),
            .cpuNotUsable(3, reason: .offline, usable: [0, 1, 2, 4, 5, 6]),
            "CPU 3 can't be used: it is offline; usable are 0-2,4-6"
        ),
        (
            .containerCPUSet, PlacementRequest(cpuList: [6]),
            .cpuNotUsable(6, reason: .outsideCgroupCPUSet, usable: [2, 3, 4, 5]),
            "CPU 6 can't be used: it is outside the cgroup's cpuset; usable are 2-5"
        ),
        (
            .oneNode, PlacementRequest(cpuset: [0], cpuList: [1]),
            .cpuNotUsable(1, reason: .outsideRequestedCPUSet, usable: [0, 1, 2, 3]),
            "CPU 1 can't be used: it is outside the requested cpuset; usable are 0-3"
        ),
        (
            .fourNodesSparse, PlacementRequest(cpuList: [64], numaNode: 0),
            .cpuNotUsable(64, reason: .otherNode(8), usable: Fixture.fourNodesSparse.machine.usableCPUs),
            "CPU 64 can't be used: it is on another NUMA node (8); usable are 0-3,64-67,128-131"
        ),
        (
            .efficiencyCores, PlacementRequest(cpuList: [0, 1], allowSMT: false),
            .cpuNotUsable(1, reason: .smtSibling(of: 0), usable: CPUSet(0...15)),
            "CPU 1 can't be used: it is an SMT sibling of CPU 0; usable are 0-15"
        ),
        (
            .fourNodesSparse, PlacementRequest(numaNode: 1), .unknownNode(1, nodes: [0, 8, 72, 255]),
            "NUMA node 1 doesn't exist; this machine has 0, 8, 72, 255"
        ),
        (
            .fourNodesSparse, PlacementRequest(numaNode: 255),
            .nodeNotUsable(255, hasCPUs: false, usableNodes: [0, 8, 72]),
            "NUMA node 255 has no CPUs (memory only); usable are 0, 8, 72"
        ),
        (
            .twoNodesSMT, PlacementRequest(cpuset: [0], numaNode: 1),
            .nodeNotUsable(1, hasCPUs: true, usableNodes: [0]),
            "NUMA node 1 has no CPU that may be used; usable are 0"
        ),
        (
            .oneNode, PlacementRequest(near: "eth9"), .unknownInterface("eth9", interfaces: ["eth0", "lo"]),
            "network interface 'eth9' doesn't exist; there are eth0, lo"
        ),
        (
            .containerQuota, PlacementRequest(pollMode: true),
            .pollModeUnderQuota(cpus: 2.5, path: "/sys/fs/cgroup/cpu.max"),
            "poll mode under a CPU quota of 2.5 (/sys/fs/cgroup/cpu.max) spends it on spinning and is then frozen; "
                + "leave poll mode off, or oversubscribe"
        ),
    ]

    @Test("a wrong request is refused with what was asked and what is allowed", arguments: refusals.indices)
    func refused(index: Int) {
        let (fixture, request, error, text) = PlacementTests.refusals[index]
        #expect(throws: error) { try plan(fixture, request) }
        #expect(error.description == text)
    }

    @Test("without a single usable CPU the three sets are named")
    func noUsableCPU() {
        let machine = MachineTopology(
            cpus: [LogicalCPU(id: 0), LogicalCPU(id: 1)],
            affinity: [0],
            cgroup: CgroupLimits(version: .v2, cpuset: CgroupLimits.Limit([1], path: "/c"))
        )
        let error = #expect(throws: PlacementError.self) { try Placement.plan(PlacementRequest(), on: machine) }
        #expect(
            error?.description
                == "no CPU may be used: the affinity mask has 0, the cgroup cpuset 1, online are 0-1"
        )
    }
}
