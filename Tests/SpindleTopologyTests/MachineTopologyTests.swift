// SPDX-License-Identifier: Apache-2.0

import SpindleTopology
import Testing

@Suite("MachineTopology")
struct MachineTopologyTests {
    @Test("one node: CPUs, caches, clock, memory, hypervisor and interface are read")
    func oneNode() {
        let machine = Fixture.oneNode.machine
        #expect(machine.cpus.map(\.id) == [0, 1, 2, 3])
        #expect(machine.cpus.allSatisfy { $0.core == $0.id && $0.node == 0 && $0.l3Group == 0 && $0.package == 0 })
        #expect(machine.cpus.allSatisfy { $0.maximumFrequencyKilohertz == 3_700_000 && $0.kind == .performance })
        #expect(machine.caches.count == 9)
        #expect(
            machine.l3Groups == [CPUCache(level: 3, contents: .unified, sizeBytes: 32 << 20, cpus: [0, 1, 2, 3])]
        )
        #expect(machine.memoryBytes == 16 << 30)
        #expect(machine.nodes.map(\.memoryFreeBytes) == [8 << 30])
        #expect(machine.hypervisor == "QEMU")
        #expect(machine.interfaces.map(\.name) == ["eth0", "lo"])
        #expect(machine.interfaces.map(\.isVirtual) == [false, true])
        #expect(machine.interfaces.map(\.node) == [nil, nil])
        #expect(machine.usableCPUs == [0, 1, 2, 3])
        #expect(machine.notes.isEmpty)
    }

    @Test("two nodes with SMT: siblings, nodes, L3 groups and distances are told apart")
    func twoNodes() {
        let machine = Fixture.twoNodesSMT.machine
        #expect(machine.cpus.count == 32)
        #expect(machine.smtSiblings(of: 3) == [3, 19])
        #expect(machine.smtSiblings(of: 31) == [15, 31])
        #expect(machine.cpu(24)?.core == 8)
        #expect(machine.cpu(24)?.node == 1)
        #expect(machine.cpu(24)?.l3Group == 1)
        #expect(machine.node(0)?.distance(to: 1) == 21)
        #expect(machine.node(1)?.cpus.listText == "8-15,24-31")
        #expect(machine.allowedMemoryNodes == [0, 1])
        #expect(machine.notes.isEmpty)
    }

    @Test(
        "an interface's node is its own, or those of the interfaces it stands on",
        arguments: [
            ("eth0", [0]), ("eth1", [1]), ("bond0", [0, 1]), ("vlan7", [1]), ("wlan0", nil),
        ] as [(String, [Int]?)]
    )
    func interfaceNodes(name: String, nodes: [Int]?) {
        #expect(Fixture.twoNodesSMT.machine.nodes(ofInterface: name) == nodes)
    }

    @Test("interfaces that stand on each other in a ring have no node and no end")
    func interfaceRing() {
        let machine = MachineTopology(
            cpus: [],
            interfaces: [
                NetworkInterface(name: "a", node: nil, lowerInterfaces: ["b", "gone"]),
                NetworkInterface(name: "b", node: nil, lowerInterfaces: ["a"]),
            ]
        )
        #expect(machine.nodes(ofInterface: "a") == [])
    }

    @Test("a virtio interface has the node of the PCI device below it")
    func virtio() {
        let machine = MachineTopology(
            reading: SystemFiles(texts: [
                "/sys/class/net/eth0/device/uevent": "DRIVER=virtio_net\n",
                "/sys/class/net/eth0/device/../numa_node": "1\n",
            ])
        )
        #expect(machine.interfaces.map(\.node) == [1])
    }

    @Test(
        "a hypervisor is told by its own file, the firmware or its clock",
        arguments: [
            (["/sys/hypervisor/type": "xen\n"], "xen"),
            (["/proc/cpuinfo": "flags : hypervisor", "/sys/class/dmi/id/sys_vendor": "QEMU\n"], "QEMU"),
            (["/proc/cpuinfo": "flags : hypervisor", clocks: "tsc kvm-clock\n"], "kvm"),
            (["/proc/cpuinfo": "flags : hypervisor"], "unnamed"),
            (["/proc/cpuinfo": "flags : nohypervisor", "/sys/class/dmi/id/sys_vendor": "Dell Inc."], nil),
        ] as [([String: String], String?)]
    )
    func hypervisor(texts: [String: String], name: String?) {
        #expect(MachineTopology(reading: SystemFiles(texts: texts)).hypervisor == name)
    }

    private static let clocks = "/sys/devices/system/clocksource/clocksource0/available_clocksource"

    @Test(
        "a cache size is read with its unit, and is unknown when it is no size",
        arguments: [
            ("48K", 48 << 10), ("32M", 32 << 20), ("1G", 1 << 30), ("512", 512), ("0K", nil), ("-1K", nil), ("K", nil),
            ("", nil), ("99999999999G", nil),
        ] as [(String, Int?)]
    )
    func cacheSizes(text: String, bytes: Int?) {
        var contents = Fixture.oneNode.contents
        contents["/sys/devices/system/cpu/cpu0/cache/index3/size"] = Array(text.utf8)
        #expect(MachineTopology(reading: SystemFiles(bytes: contents)).l3Groups.map(\.sizeBytes) == [bytes])
    }

    @Test("node ids may be sparse and above 63, without CPUs or without memory")
    func sparseNodes() {
        let machine = Fixture.fourNodesSparse.machine
        #expect(machine.nodes.map(\.id) == [0, 8, 72, 255])
        #expect(machine.node(255)?.cpus.isEmpty == true)
        #expect(machine.node(255)?.hasMemory == true)
        #expect(machine.node(72)?.hasMemory == false)
        #expect(machine.node(72)?.distances == [0: 40, 8: 35, 72: 10, 255: 30])
        #expect(machine.cpu(130)?.node == 72)
        #expect(machine.usableCPUs.listText == "0-3,64-67,128-131")
        #expect(machine.notes.isEmpty)
    }

    @Test("several L3 groups per node are told apart")
    func l3Groups() {
        let machine = Fixture.l3Groups.machine
        let groups = machine.l3Groups.map(\.cpus.listText)
        #expect(groups == ["0-1", "2-3", "4-5", "6-7", "8-9", "10-11", "12-13", "14-15"])
        #expect(machine.cpus.map(\.l3Group) == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7])
        #expect(machine.l3Groups.allSatisfy { $0.sizeBytes == 16 << 20 })
    }

    @Test("efficiency cores of an Intel hybrid are those of cpu_atom")
    func intelHybrid() {
        let machine = Fixture.efficiencyCores.machine
        #expect(machine.cpus.filter { $0.kind == .efficiency }.map(\.id) == Array(8...15))
        #expect(machine.cpus.map(\.core) == [0, 0, 2, 2, 4, 4, 6, 6, 8, 9, 10, 11, 12, 13, 14, 15])
    }

    @Test("an Arm machine without SMT files has one core per CPU, and little cores are efficiency cores")
    func arm() {
        let machine = Fixture.armWithoutSMTFiles.machine
        #expect(machine.cpus.map(\.core) == Array(0...7))
        #expect(machine.cpus.filter { $0.kind == .efficiency }.map(\.id) == [0, 1, 2, 3])
        #expect(machine.cpus.allSatisfy { $0.package == nil && $0.cluster == nil && $0.l3Group == nil })
        #expect(machine.nodes.map(\.id) == [0])
        #expect(machine.nodes[0].memoryTotalBytes == 8 << 30)
        #expect(
            machine.notes
                == ["/sys/devices/system/node: no NUMA nodes; treated as one node 0 with all CPUs and memory"]
        )
    }

    @Test("CPUs with the same core_id in one package are SMT siblings where no sibling lists exist")
    func coreIDs() {
        var texts = ["/sys/devices/system/cpu/online": "0-3"]
        for cpu in 0...3 {
            texts["/sys/devices/system/cpu/cpu\(cpu)/topology/core_id"] = "\(cpu % 2)"
            texts["/sys/devices/system/cpu/cpu\(cpu)/topology/physical_package_id"] = cpu == 3 ? "1" : "0"
        }
        let machine = MachineTopology(reading: SystemFiles(texts: texts))
        #expect(machine.cpus.map(\.core) == [0, 1, 0, 3])
    }

    @Test("offline CPUs are listed, without node or core, and never usable")
    func offline() {
        let machine = Fixture.offlineCPUs.machine
        #expect(machine.cpus.map(\.id) == Array(0...7))
        #expect(machine.cpus.filter { !$0.isOnline }.map(\.id) == [3, 7])
        #expect(machine.cpu(3)?.node == nil)
        #expect(machine.possibleCPUs.listText == "0-15")
        #expect(machine.affinity.listText == "0-15")
        #expect(machine.usableCPUs.listText == "0-2,4-6")
    }

    @Test("where next to no file can be read there is still a machine, with notes")
    func missingFiles() {
        let machine = Fixture.filesMissing.machine
        #expect(machine.cpus.map(\.core) == [0, 1, 2, 3])
        #expect(machine.nodes.map { $0.cpus.listText } == ["0-3"])
        #expect(machine.affinity.listText == "0-3")
        #expect(machine.memoryBytes == nil)
        #expect(machine.cgroup == CgroupLimits())
        #expect(
            machine.notes.contains(
                "/sys/devices/system/cpu/cpu{0-3}/topology/core_id: missing; treated as its own core"
            )
        )
        let empty = MachineTopology(reading: SystemFiles(texts: [:]))
        #expect(empty.cpus == [LogicalCPU(id: 0)])
        #expect(empty.usableCPUs == [0])
    }

    @Test("malformed files are noted with their text, and the simplest thing is assumed")
    func malformedFiles() {
        let machine = Fixture.filesMalformed.machine
        #expect(machine.cpus.map(\.core) == [0, 1, 2, 3])
        #expect(machine.cpus.allSatisfy { $0.node == 0 })
        #expect(machine.usableCPUs.listText == "0-3")
        #expect(machine.memoryBytes == nil)
        #expect(machine.cgroup.quotaCPUs == nil)
        #expect(machine.cgroup.memoryBytes == nil)
        let notes = Set(machine.notes)
        let expected = [
            "/sys/devices/system/cpu/cpu3/topology/core_id: not a number: 'x'; treated as its own core",
            "/sys/devices/system/cpu/cpu{2-3}: in the cpulist of no NUMA node; treated as on node 0",
            "/sys/fs/cgroup/cpu.max: not a quota: '100000 0'; ignored",
            "/sys/fs/cgroup/memory.max: not a limit: '-1'; ignored",
            "/proc/meminfo: not an amount: 'MemTotal: -5 kB'; ignored",
            "/sys/class/net/eth0/device/numa_node: not a number: 'north'; ignored",
        ]
        for note in expected { #expect(notes.contains(note)) }
        #expect(machine.notes.count == 19)
    }

    @Test("a folder of garbage gives a bounded number of notes")
    func noteLimit() {
        var texts = ["/sys/devices/system/cpu/online": "0-99"]
        for cpu in 0...99 { texts["/sys/devices/system/cpu/cpu\(cpu)/topology/core_id"] = "x\(cpu)" }
        let notes = MachineTopology(reading: SystemFiles(texts: texts)).notes
        #expect(notes.count == 33)
        #expect(notes.last?.hasPrefix("and ") == true)
    }

    @Test("a file longer than the limit is ignored with a note")
    func tooLong() {
        let text = String(repeating: "0,", count: SystemFiles.defaultLimitBytes)
        let machine = MachineTopology(
            reading: SystemFiles(texts: ["/sys/devices/system/cpu/present": text])
        )
        #expect(machine.notes.contains("/sys/devices/system/cpu/present: longer than 1 MiB; ignored"))
    }

    @Test("a machine of more than a thousand CPUs is read")
    func largeMachine() {
        let machine = MachineTopology(
            reading: SystemFiles(texts: [
                "/sys/devices/system/cpu/online": "0-2047",
                "/sys/devices/system/node/online": "0-1",
                "/sys/devices/system/node/node0/cpulist": "0-1023",
                "/sys/devices/system/node/node1/cpulist": "1024-2047",
                "/proc/self/status": "Cpus_allowed:\t" + String(repeating: "ffffffff,", count: 63) + "ffffffff\n",
            ])
        )
        #expect(machine.usableCPUs.count == 2048)
        #expect(machine.cpu(1024)?.node == 1)
    }

    @Test("the parts of a machine are sorted, and of two with one id the first stays")
    func sortedParts() {
        let machine = MachineTopology(
            cpus: [LogicalCPU(id: 2), LogicalCPU(id: 0), LogicalCPU(id: 2, node: 7)],
            nodes: [NUMANode(id: 9, cpus: []), NUMANode(id: 0, cpus: [0, 2])]
        )
        #expect(machine.cpus == [LogicalCPU(id: 0), LogicalCPU(id: 2)])
        #expect(machine.nodes.map(\.id) == [0, 9])
        #expect(machine.cpu(1) == nil)
        #expect(machine.node(5) == nil)
        #expect(machine.smtSiblings(of: 1) == [])
    }

    @Test("this machine is read without surprise")
    func thisMachine() {
        let machine = MachineTopology(reading: SystemFiles())
        #expect(!machine.usableCPUs.isEmpty)
        #expect(machine.usableCPUs.isSubset(of: machine.onlineCPUs))
        #expect(machine.memoryBytes ?? 0 > 0)
    }
}
