// SPDX-License-Identifier: Apache-2.0

import Foundation
import SpindleTopology
import Testing

@Suite("TopologyDrawing")
struct TopologyDrawingTests {
    private func drawing(_ machine: MachineTopology, _ request: PlacementRequest = PlacementRequest()) throws -> String
    {
        TopologyDrawing(of: machine, placement: try Placement.plan(request, on: machine)).text
    }

    @Test("machine, map, plan and reasons of two nodes with SMT")
    func twoNodes() throws {
        #expect(
            try drawing(Fixture.twoNodesSMT.machine, PlacementRequest(cores: .count(3), near: "eth1")) == """
                Machine       2 NUMA nodes, 2 L3 caches
                  CPUs        32 online (0-31) on 16 cores with 2 threads each
                  allowed     32 CPUs (0-31); no quota; cgroup v2
                  caches      L3 32 MiB per 8 cores
                  memory      128 GiB; 16 GiB kept in reserve; from nodes 0-1
                  network     bond0 on nodes 0-1, eth0 on node 0, eth1 on node 1, vlan7 on node 1

                Node 0        64 GiB (32 GiB free); eth0; distance 21 to node 1
                  L3 #0       32 MiB [0- 16-] [1- 17-] [2- 18-] [3- 19-] [4- 20-] [5- 21-] [6- 22-] [7- 23-]
                Node 1        64 GiB (32 GiB free); eth1; distance 21 to node 0
                  L3 #1       32 MiB [8* 24-] [9* 25-] [10* 26-] [11- 27-] [12- 28-] [13- 29-] [14- 30-] [15- 31-]
                              * has a reactor, - left out

                Plan          3 reactors, pinned, because no CPU quota applies
                  reactor  node  memory on  L3  budget    CPU
                  0        1     1          #1  18.6 GiB  8, core to itself (SMT sibling 24)
                  1        1     1          #1  18.6 GiB  9, core to itself (SMT sibling 25)
                  2        1     1          #1  18.6 GiB  10, core to itself (SMT sibling 26)

                  left out, because it is         CPUs
                  not needed for 3 reactors       0-7,11-23,27-31
                  an SMT sibling of a CPU in use  24-26

                """
        )
    }

    @Test("a container under a quota shows where its limits stand, and that threads float")
    func quota() throws {
        #expect(
            try drawing(Fixture.containerQuota.machine) == """
                Machine       1 NUMA node, 0 L3 caches
                  CPUs        8 online (0-7) on 8 cores
                  allowed     8 CPUs (0-7); quota 2.5 CPUs (/sys/fs/cgroup/cpu.max); cgroup v2
                  memory      64 GiB; limit 4 GiB (/sys/fs/cgroup/memory.max); 512 MiB kept in reserve
                  network     no interfaces

                Node 0        64 GiB (32 GiB free)
                  no L3       [0~] [1~] [2~] [3~] [4~] [5~] [6~] [7~]
                              ~ reactors float over it

                Plan          2 reactors, floating, because the CPUs are shared under a quota of 2.5 CPUs
                  reactor  node  memory on  L3  budget   CPU
                  0        0     0          -   1.7 GiB  any of 0-7
                  1        0     0          -   1.7 GiB  any of 0-7

                """
        )
    }

    @Test("no line is wider than 100 columns", arguments: Fixture.allCases)
    func width(fixture: Fixture) throws {
        let text = try drawing(fixture.machine)
        for line in text.split(separator: "\n") { #expect(line.count <= 100, "\(line)") }
        #expect(!text.contains(" \n"))
    }

    @Test("a machine of 512 CPUs is folded")
    func folded() throws {
        let machine = MachineTopology(
            cpus: (0..<512).map { LogicalCPU(id: $0, core: $0 % 256, node: $0 % 256 / 128, l3Group: $0 % 256 / 8) },
            nodes: [
                NUMANode(id: 0, cpus: CPUSet((0..<512).filter { $0 % 256 < 128 })),
                NUMANode(id: 1, cpus: CPUSet((0..<512).filter { $0 % 256 >= 128 })),
            ],
            caches: (0..<32).map { group in
                let cpus = CPUSet((0..<512).filter { $0 % 256 / 8 == group })
                return CPUCache(level: 3, contents: .unified, sizeBytes: 32 << 20, cpus: cpus)
            },
            interfaces: (0..<300).map { NetworkInterface(name: "veth\($0)", node: nil, isVirtual: true) }
        )
        let text = try drawing(machine, PlacementRequest(allowSMT: false))
        #expect(text.split(separator: "\n").count < 90)
        #expect(text.contains("  0-7      0     0          #0   -       0-7\n"))
        #expect(text.contains("veth108 (virtual) and 288"))
        #expect(text.split(separator: "\n").allSatisfy { $0.count <= 100 })
    }

    @Test("names from files can't break the drawing")
    func hostileNames() throws {
        let name = "eth\u{1B}[31m\n0" + String(repeating: "x", count: 300)
        let machine = MachineTopology(
            cpus: [LogicalCPU(id: 0)],
            interfaces: [NetworkInterface(name: name, node: 0)],
            hypervisor: "\u{1B}c",
            notes: [String(repeating: "y", count: 3_000)]
        )
        let text = try drawing(machine)
        #expect(text.utf8.allSatisfy { (0x20..<0x7F).contains($0) || $0 == 0x0A })
        #expect(text.split(separator: "\n").allSatisfy { $0.count <= 100 })
    }

    @Test("the JSON has the machine and the plan under stable names")
    func json() throws {
        let machine = Fixture.containerQuota.machine
        let placement = try Placement.plan(PlacementRequest(), on: machine)
        let text = TopologyDrawing(of: machine, placement: placement).json.indentedText
        let object = try #require(
            try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: [String: Any]]
        )
        let plan = try #require(object["plan"])
        #expect(plan["pinned"] as? Bool == false)
        #expect(plan["pinReason"] as? String == "quotaOnSharedCPUs")
        #expect((plan["reactors"] as? [[String: Any]])?.count == 2)
        #expect((plan["reactors"] as? [[String: Any]])?.first?["memoryBudgetBytes"] as? Int == 7 << 28)
        let cgroup = try #require(object["machine"]?["cgroup"] as? [String: Any])
        #expect(cgroup["quotaCPUs"] as? Double == 2.5)
        #expect(cgroup["memoryLimitBytes"] as? Int == 4 << 30)
        #expect(object["machine"]?["usableCPUs"] as? String == "0-7")
        #expect(TopologyDrawing(of: machine).json.compactText.hasSuffix(#""plan":null}"#))
    }
}
