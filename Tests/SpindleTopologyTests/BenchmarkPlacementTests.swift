// SPDX-License-Identifier: Apache-2.0

import SpindleTopology
import Testing

@Suite("BenchmarkPlacement")
struct BenchmarkPlacementTests {
    private func machine(_ count: Int, threads: Int = 1) -> MachineTopology {
        MachineTopology(cpus: (0..<count * threads).map { LogicalCPU(id: $0, core: $0 % count) })
    }

    private func cpus(_ placement: Placement) -> [Int?] { placement.reactors.map(\.cpu) }

    @Test(
        "a machine of n cores is halved, the larger half for the load generator",
        arguments: [(2, [0], [1]), (3, [0], [1, 2]), (4, [0, 1], [2, 3]), (5, [0, 1], [2, 3, 4])]
    )
    func halves(count: Int, server: [Int], load: [Int]) throws {
        let both = try BenchmarkPlacement.plan(PlacementRequest(), on: machine(count))
        #expect(cpus(both.server) == server)
        #expect(cpus(both.load) == load)
        #expect(!both.sharesCores)
        #expect(both.warnings.isEmpty)
        #expect(both.server.leftOut.allSatisfy { $0.reason == .keptForLoadGenerator })
        #expect(both.load.leftOut.allSatisfy { $0.reason == .keptForServer })
    }

    @Test("SMT siblings stay on their core's side")
    func siblings() throws {
        let both = try BenchmarkPlacement.plan(PlacementRequest(), on: machine(2, threads: 2))
        #expect(cpus(both.server) == [0, 2])
        #expect(cpus(both.load) == [1, 3])
    }

    @Test("with several L3 groups per node each node's groups are halved")
    func l3Groups() throws {
        let both = try BenchmarkPlacement.plan(PlacementRequest(), on: Fixture.l3Groups.machine)
        #expect(cpus(both.server) == [0, 1, 2, 3, 8, 9, 10, 11])
        #expect(cpus(both.load) == [4, 5, 6, 7, 12, 13, 14, 15])
    }

    @Test("with one L3 group per node the nodes are halved")
    func nodes() throws {
        let both = try BenchmarkPlacement.plan(PlacementRequest(allowSMT: false), on: Fixture.twoNodesSMT.machine)
        #expect(cpus(both.server) == Array(0...7))
        #expect(cpus(both.load) == Array(8...15))
        let near = try BenchmarkPlacement.plan(PlacementRequest(near: "eth1"), on: Fixture.twoNodesSMT.machine)
        #expect(near.server.reactors.allSatisfy { $0.node == 1 })
        #expect(near.load.reactors.allSatisfy { $0.node == 0 })
    }

    @Test("a server with its own node leaves the other nodes to the load generator")
    func ownNode() throws {
        let both = try BenchmarkPlacement.plan(PlacementRequest(numaNode: 1), on: Fixture.twoNodesSMT.machine)
        #expect(both.server.reactors.count == 16)
        #expect(both.server.reactors.allSatisfy { $0.node == 1 })
        #expect(both.load.reactors.allSatisfy { $0.node == 0 })
    }

    @Test("a given number of server reactors is kept, and gets at most twice as many clients")
    func givenCount() throws {
        let one = try BenchmarkPlacement.plan(PlacementRequest(cores: .count(1)), on: machine(8))
        #expect(cpus(one.server) == [0])
        #expect(cpus(one.load) == [1, 2])
        let six = try BenchmarkPlacement.plan(PlacementRequest(cores: .count(6)), on: machine(8))
        #expect(cpus(six.server) == [0, 1, 2, 3, 4, 5])
        #expect(cpus(six.load) == [6, 7])
        let group = try BenchmarkPlacement.plan(PlacementRequest(cores: .count(2)), on: Fixture.l3Groups.machine)
        let serverGroups = Set(group.server.reactors.map(\.l3Group))
        #expect(serverGroups.isDisjoint(with: group.load.reactors.map(\.l3Group)))
        #expect(Set(group.load.reactors.map(\.node)) == [0, 1])
    }

    @Test("the number of clients can be given")
    func givenThreads() throws {
        let both = try BenchmarkPlacement.plan(PlacementRequest(), loadThreads: 1, on: machine(8))
        #expect(cpus(both.load) == [4])
        let many = try BenchmarkPlacement.plan(PlacementRequest(), loadThreads: 6, on: machine(8))
        #expect(cpus(many.load) == [4, 5, 6, 7, 4, 5])
    }

    @Test("a server on every core leaves SMT siblings, or its own CPUs, with a warning")
    func tooFew() throws {
        let siblings = try BenchmarkPlacement.plan(PlacementRequest(cores: .physical), on: machine(2, threads: 2))
        #expect(cpus(siblings.server) == [0, 1])
        #expect(cpus(siblings.load) == [2, 3])
        #expect(siblings.sharesCores)
        #expect(
            siblings.warnings == [
                "no core is left for the load generator: it runs on SMT siblings of the server's cores (2-3) and slows "
                    + "them down"
            ]
        )
        let one = try BenchmarkPlacement.plan(PlacementRequest(), on: machine(1))
        #expect(cpus(one.server) == [0])
        #expect(cpus(one.load) == [0])
        #expect(one.sharesCores)
        let thread = try BenchmarkPlacement.plan(PlacementRequest(), on: machine(1, threads: 2))
        #expect(cpus(thread.server) == [0])
        #expect(cpus(thread.load) == [1])
        #expect(thread.sharesCores)
    }

    @Test("a quota is halved, and both sides float")
    func quota() throws {
        let both = try BenchmarkPlacement.plan(PlacementRequest(), on: Fixture.containerQuota.machine)
        #expect(both.server.reactors.count == 1)
        #expect(both.load.reactors.count == 1)
        #expect(!both.server.isPinned && !both.load.isPinned)
        #expect(both.server.reactors[0].allowedCPUs.isDisjoint(with: both.load.reactors[0].allowedCPUs))
        #expect(both.warnings.isEmpty)
        let tight = try BenchmarkPlacement.plan(PlacementRequest(), on: Fixture.nestedLimits.machine)
        #expect(tight.warnings == ["server and load generator share a CPU quota of 1.5 and freeze each other"])
    }

    @Test("the server gets the performance cores of a mixed machine")
    func coreKinds() throws {
        let both = try BenchmarkPlacement.plan(PlacementRequest(), on: Fixture.armWithoutSMTFiles.machine)
        #expect(cpus(both.server) == [4, 5, 6, 7])
        #expect(cpus(both.load) == [0, 1, 2, 3])
    }

    @Test("a load generator is found beside a server that is already placed")
    func beside() throws {
        let machine = Fixture.twoNodesSMT.machine
        let server = try Placement.plan(PlacementRequest(cpuList: [0, 1]), on: machine)
        let both = try BenchmarkPlacement.plan(beside: server, request: PlacementRequest(), on: machine)
        #expect(both.server == server)
        #expect(cpus(both.load) == [8, 9, 10, 11], "another L3 group has enough cores")
    }
}
