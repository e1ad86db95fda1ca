// SPDX-License-Identifier: Apache-2.0

import SpindleTopology
import Testing

@Suite("CgroupLimits")
struct CgroupLimitsTests {
    @Test("a v2 container's quota, memory limit and throttle count are read")
    func v2Quota() {
        let limits = Fixture.containerQuota.machine.cgroup
        #expect(limits.version == .v2)
        #expect(limits.quotaCPUs == CgroupLimits.Limit(2.5, path: "/sys/fs/cgroup/cpu.max"))
        #expect(limits.memoryBytes == CgroupLimits.Limit(4 << 30, path: "/sys/fs/cgroup/memory.max"))
        #expect(limits.cpuset == nil, "a cpuset of all online CPUs limits nothing")
        #expect(limits.throttleCount(reading: Fixture.containerQuota.files) == 12)
    }

    @Test("a container without namespace finds its cpuset in the mount's root; \"max\" is no limit")
    func v2CPUSet() {
        let limits = Fixture.containerCPUSet.machine.cgroup
        #expect(limits.cpuset == CgroupLimits.Limit([2, 3, 4, 5], path: "/sys/fs/cgroup/cpuset.cpus.effective"))
        #expect(!limits.isCPUSetExclusive)
        #expect(limits.quotaCPUs == nil)
        #expect(limits.memoryBytes == nil)
    }

    @Test("v1 limits are found one level up, and its largest number is no limit")
    func v1() {
        let machine = Fixture.cgroupV1.machine
        let limits = machine.cgroup
        #expect(limits.version == .v1)
        #expect(limits.quotaCPUs == CgroupLimits.Limit(3.5, path: "/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us"))
        #expect(limits.memoryBytes == CgroupLimits.Limit(2 << 30, path: "/sys/fs/cgroup/memory/memory.limit_in_bytes"))
        #expect(limits.cpuset == nil)
        #expect(!limits.isCPUSetExclusive, "v1's root is always cpu_exclusive")
        #expect(limits.throttlePaths == ["/sys/fs/cgroup/cpu,cpuacct/cpu.stat"])
        #expect(limits.throttleCount(reading: Fixture.cgroupV1.files) == 7)
        #expect(machine.notes.isEmpty)
    }

    @Test("v1's largest number alone is no limit, on any page size", arguments: [12, 14, 16])
    func v1NoLimit(pageShift: Int) {
        var contents = Fixture.cgroupV1.contents
        let text = "\((Int.max >> pageShift) << pageShift)\n"
        contents["/sys/fs/cgroup/memory/memory.limit_in_bytes"] = Array(text.utf8)
        contents["/sys/fs/cgroup/memory/child/memory.limit_in_bytes"] = Array(text.utf8)
        #expect(MachineTopology(reading: SystemFiles(bytes: contents)).cgroup.memoryBytes == nil)
    }

    @Test("on a hybrid host each controller is read in its own hierarchy")
    func hybrid() {
        let limits = Fixture.cgroupHybrid.machine.cgroup
        #expect(limits.version == .hybrid)
        #expect(limits.quotaCPUs == CgroupLimits.Limit(4, path: "/sys/fs/cgroup/the unified/svc/cpu.max"))
        #expect(limits.memoryBytes?.value == 1 << 30)
        #expect(limits.cpuset?.value == [0, 1, 2, 3])
        #expect(!limits.isCPUSetExclusive, "a member is no partition")
    }

    @Test("a partition's CPUs are taken from its own level, though the levels above lack them")
    func partition() {
        let limits = Fixture.exclusiveCPUSet.machine.cgroup
        #expect(limits.cpuset?.value == [4, 5, 6, 7])
        #expect(limits.isCPUSetExclusive)
        #expect(limits.quotaCPUs?.value == 2)
    }

    @Test("an invalid partition is not exclusive", arguments: ["member", "root invalid (Cpu list empty)", "x", ""])
    func invalidPartition(state: String) {
        var contents = Fixture.exclusiveCPUSet.contents
        contents["/sys/fs/cgroup/fast.slice/cpuset.cpus.partition"] = Array(state.utf8)
        #expect(!MachineTopology(reading: SystemFiles(bytes: contents)).cgroup.isCPUSetExclusive)
    }

    @Test("an isolated partition is exclusive")
    func isolatedPartition() {
        var contents = Fixture.exclusiveCPUSet.contents
        contents["/sys/fs/cgroup/fast.slice/cpuset.cpus.partition"] = Array("isolated\n".utf8)
        #expect(MachineTopology(reading: SystemFiles(bytes: contents)).cgroup.isCPUSetExclusive)
    }

    @Test("a v1 cpuset narrower than the machine is exclusive when it says so", arguments: [("1", true), ("0", false)])
    func v1Exclusive(flag: String, isExclusive: Bool) {
        var contents = Fixture.cgroupV1.contents
        contents["/sys/fs/cgroup/cpuset/cpuset.cpus"] = Array("2-3\n".utf8)
        contents["/sys/fs/cgroup/cpuset/cpuset.cpu_exclusive"] = Array("\(flag)\n".utf8)
        let limits = MachineTopology(reading: SystemFiles(bytes: contents)).cgroup
        #expect(limits.cpuset?.value == [2, 3])
        #expect(limits.isCPUSetExclusive == isExclusive)
    }

    @Test("the tightest limit along the whole path wins, and throttling is summed where quotas stand")
    func nested() {
        let limits = Fixture.nestedLimits.machine.cgroup
        #expect(limits.quotaCPUs == CgroupLimits.Limit(1.5, path: "/sys/fs/cgroup/a/cpu.max"))
        #expect(limits.memoryBytes == CgroupLimits.Limit(3 << 30, path: "/sys/fs/cgroup/a/b/memory.max"))
        #expect(limits.throttleCount(reading: Fixture.nestedLimits.files) == 42)
    }

    @Test("plain cpuset.cpus files of several levels are intersected where no effective set exists")
    func plainCPUSets() {
        var contents = Fixture.nestedLimits.contents
        contents["/sys/fs/cgroup/a/cpuset.cpus"] = Array("0-3\n".utf8)
        contents["/sys/fs/cgroup/a/b/cpuset.cpus"] = Array("\n".utf8)
        contents["/sys/fs/cgroup/a/b/c/cpuset.cpus"] = Array("2-7\n".utf8)
        #expect(MachineTopology(reading: SystemFiles(bytes: contents)).cgroup.cpuset?.value == [2, 3])
    }

    @Test("a process that was moved out of its namespace gets the limits it can see, and a note")
    func movedOut() {
        let machine = Fixture.movedOutOfNamespace.machine
        #expect(machine.cgroup.quotaCPUs?.value == 1)
        #expect(
            machine.notes == [
                "/proc/self/cgroup: the process was moved out of its cgroup namespace ('/../../other'); "
                    + "limits are those of /sys/fs/cgroup and above"
            ]
        )
    }

    @Test(
        "what cpu.max says becomes a number of CPUs",
        arguments: [
            ("max 100000", nil), ("50000 100000", 0.5), ("250000 100000\n", 2.5), ("max", nil), ("1 0", nil),
            ("0 100000", nil), ("-1 100000", nil), ("x y", nil), ("", nil),
            ("9223372036854775807 1", 9.223372036854775807e18),
        ] as [(String, Double?)]
    )
    func cpuMax(text: String, cpus: Double?) {
        var contents = Fixture.containerQuota.contents
        contents["/sys/fs/cgroup/cpu.max"] = Array(text.utf8)
        #expect(MachineTopology(reading: SystemFiles(bytes: contents)).cgroup.quotaCPUs?.value == cpus)
    }

    @Test("a quota that is not below the usable CPUs can't be felt", arguments: [(7.9, true), (8, false), (9, false)])
    func effectiveQuota(quota: Double, isFelt: Bool) {
        let machine = MachineTopology(
            cpus: (0..<8).map { LogicalCPU(id: $0) },
            cgroup: CgroupLimits(version: .v2, quotaCPUs: CgroupLimits.Limit(quota, path: "/cpu.max"))
        )
        #expect((machine.effectiveQuotaCPUs != nil) == isFelt)
    }

    @Test("without a readable cpu.stat there is no throttle count")
    func noThrottleCount() {
        #expect(CgroupLimits().throttleCount(reading: SystemFiles(texts: [:])) == nil)
        let limits = CgroupLimits(throttlePaths: ["/cpu.stat"])
        #expect(limits.throttleCount(reading: SystemFiles(texts: ["/cpu.stat": "nr_throttled many\n"])) == nil)
    }
}
