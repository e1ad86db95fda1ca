#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the machines that SpindleTopologyTests reads: one folder each, with sys/ and proc/ below it.

Usage: python3 make_fixtures.py        (from anywhere; replaces every folder beside this file)

Each file holds what a kernel writes there, but only files that SpindleTopology reads are written, and of the caches
mostly the L3, to keep the commit small. There are no symbolic links: SwiftPM copies the folders as resources.
"""

import pathlib
import shutil

HERE = pathlib.Path(__file__).resolve().parent
KIB_PER_GIB = 1 << 20
V1_NO_LIMIT = 9223372036854771712


def list_text(cpus):
    """[0, 1, 2, 8] -> "0-2,8", the kernel's list format."""
    ranges = []
    for cpu in sorted(cpus):
        if ranges and ranges[-1][1] == cpu - 1:
            ranges[-1][1] = cpu
        else:
            ranges.append([cpu, cpu])
    return ",".join(f"{a}" if a == b else f"{a}-{b}" for a, b in ranges)


class Machine:
    """Collects files, then writes them below a folder."""

    def __init__(self, name):
        self.name = name
        self.files = {}

    def put(self, path, text):
        self.files[path] = f"{text}\n"
        return self

    def cpus(self, online, possible=None, cores=None, l3=None, l3_size="32768K"):
        """Online CPUs; `cores` and `l3` are lists of lists of CPUs that share a core, or an L3 cache."""
        folder = "sys/devices/system/cpu"
        self.put(f"{folder}/online", list_text(online))
        self.put(f"{folder}/possible", list_text(possible or online))
        self.put(f"{folder}/present", list_text(possible or online))
        for core in cores or [[cpu] for cpu in online]:
            for cpu in core:
                self.put(f"{folder}/cpu{cpu}/topology/core_cpus_list", list_text(core))
        for group in l3 or []:
            for cpu in group:
                self.put(f"{folder}/cpu{cpu}/cache/index0/level", 3)
                self.put(f"{folder}/cpu{cpu}/cache/index0/shared_cpu_list", list_text(group))
            self.put(f"{folder}/cpu{group[0]}/cache/index0/size", l3_size)
        return self.status(list_text(online))

    def cache(self, cpu, index, level, kind, size, shared):
        folder = f"sys/devices/system/cpu/cpu{cpu}/cache/index{index}"
        self.put(f"{folder}/level", level).put(f"{folder}/type", kind)
        return self.put(f"{folder}/size", size).put(f"{folder}/shared_cpu_list", list_text(shared))

    def nodes(self, nodes):
        """{id: (cpus, GiB, distances)}; MemTotal of the machine is the sum."""
        folder = "sys/devices/system/node"
        self.put(f"{folder}/online", list_text(nodes))
        for node, (cpus, gib, distances) in nodes.items():
            total = gib * KIB_PER_GIB
            self.put(f"{folder}/node{node}/cpulist", list_text(cpus))
            self.put(
                f"{folder}/node{node}/meminfo",
                f"Node {node} MemTotal:       {total} kB\nNode {node} MemFree:        {total // 2} kB",
            )
            self.put(f"{folder}/node{node}/distance", " ".join(map(str, distances)))
        return self.memory(sum(gib for _, gib, _ in nodes.values()))

    def memory(self, gib):
        total = gib * KIB_PER_GIB
        return self.put("proc/meminfo", f"MemTotal:       {total} kB\nMemFree:        {total // 2} kB")

    def status(self, cpus, mems="0"):
        return self.put("proc/self/status", f"Name:\tspindle\nCpus_allowed_list:\t{cpus}\nMems_allowed_list:\t{mems}")

    def cgroup(self, memberships, mounts):
        """`memberships`: lines of /proc/self/cgroup; `mounts`: (root, point, type, super options)."""
        lines = ["22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw"]
        for number, (root, point, kind, options) in enumerate(mounts):
            lines.append(f"{30 + number} 22 0:{30 + number} {root} {point} ro,nosuid shared:{number} - {kind} {kind} {options}")
        self.put("proc/self/cgroup", "\n".join(memberships))
        return self.put("proc/self/mountinfo", "\n".join(lines))

    def interface(self, name, node=None, virtual=False, lower=()):
        folder = f"sys/class/net/{name}"
        if virtual:
            self.put(f"{folder}/uevent", f"INTERFACE={name}")
        else:
            self.put(f"{folder}/device/uevent", "DRIVER=ice")
        if node is not None:
            self.put(f"{folder}/device/numa_node", node)
        for carrier in lower:
            self.put(f"{folder}/lower_{carrier}/uevent", f"INTERFACE={carrier}")
        return self

    def write(self):
        for path, text in self.files.items():
            target = HERE / self.name / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)


def up_to(count, start=0):
    return list(range(start, start + count))


def plain(name, count, gib=16):
    """One node, no SMT, no caches, no limits."""
    return Machine(name).cpus(up_to(count)).nodes({0: (up_to(count), gib, [10])})


def v2_root(machine):
    """A host without limits: the unified hierarchy, the process in its root."""
    return machine.cgroup(["0::/"], [("/", "/sys/fs/cgroup", "cgroup2", "rw,nsdelegate")])


def one_node():
    machine = v2_root(plain("one-node", 4)).interface("eth0", node=-1).interface("lo", virtual=True)
    for cpu in up_to(4):
        machine.cache(cpu, 0, 1, "Data", "32K", [cpu]).cache(cpu, 1, 1, "Instruction", "32K", [cpu])
        machine.cache(cpu, 2, 2, "Unified", "1024K", [cpu]).cache(cpu, 3, 3, "Unified", "32768K", up_to(4))
        machine.put(f"sys/devices/system/cpu/cpu{cpu}/topology/physical_package_id", 0)
        machine.put(f"sys/devices/system/cpu/cpu{cpu}/cpufreq/cpuinfo_max_freq", 3700000)
    machine.put("proc/cpuinfo", "processor\t: 0\nflags\t\t: fpu vme hypervisor sse2")
    return machine.put("sys/class/dmi/id/sys_vendor", "QEMU")


def two_nodes_smt():
    """2 nodes x 8 cores x 2 threads; siblings are 16 apart; a network card on each node, and a bond of both."""
    machine = Machine("two-nodes-smt")
    first, second = up_to(8) + up_to(8, 16), up_to(8, 8) + up_to(8, 24)
    machine.cpus(up_to(32), cores=[[cpu, cpu + 16] for cpu in up_to(16)], l3=[first, second])
    machine.nodes({0: (first, 64, [10, 21]), 1: (second, 64, [21, 10])}).status("0-31", "0-1")
    machine.interface("eth0", node=0).interface("eth1", node=1)
    machine.interface("bond0", virtual=True, lower=["eth0", "eth1"])
    return v2_root(machine.interface("vlan7", virtual=True, lower=["eth1"]))


def four_nodes_sparse():
    """Nodes 0, 8, 72 and 255: 72 has CPUs and no memory, 255 has memory and no CPUs (a CXL expander)."""
    machine = Machine("four-nodes-sparse")
    cpus = [up_to(4), up_to(4, 64), up_to(4, 128)]
    machine.cpus(sum(cpus, []), l3=cpus)
    machine.nodes(
        {
            0: (cpus[0], 32, [10, 20, 40, 30]),
            8: (cpus[1], 32, [20, 10, 40, 30]),
            72: (cpus[2], 0, [40, 35, 10, 30]),
            255: ([], 128, [30, 30, 30, 10]),
        }
    )
    return v2_root(machine.status("0-3,64-67,128-131", "0,8,72,255").interface("ib0", node=72))


def l3_groups():
    """2 nodes, each with 4 L3 groups of 2 cores (an EPYC in small)."""
    groups = [[first, first + 1] for first in range(0, 16, 2)]
    machine = Machine("l3-groups").cpus(up_to(16), l3=groups, l3_size="16384K")
    machine.nodes({0: (up_to(8), 32, [10, 32]), 1: (up_to(8, 8), 32, [32, 10])})
    return v2_root(machine.status("0-15", "0-1"))


def efficiency_cores():
    """An Intel hybrid: 4 performance cores with 2 threads (0-7), 8 efficiency cores (8-15)."""
    machine = Machine("efficiency-cores")
    pairs = [[first, first + 1] for first in range(0, 8, 2)]
    machine.cpus(up_to(16), cores=pairs + [[cpu] for cpu in up_to(8, 8)])
    machine.put("sys/devices/cpu_core/cpus", "0-7").put("sys/devices/cpu_atom/cpus", "8-15")
    return v2_root(machine.nodes({0: (up_to(16), 32, [10])}))


def arm_without_smt_files():
    """4 little, 3 middle and 1 big core; no sibling lists, no L3, no NUMA, unknown packages."""
    machine = Machine("arm-without-smt-files")
    folder = "sys/devices/system/cpu"
    machine.put(f"{folder}/online", "0-7").put(f"{folder}/possible", "0-7").put(f"{folder}/present", "0-7")
    for cpu, capacity in enumerate([446, 446, 446, 446, 871, 871, 871, 1024]):
        machine.put(f"{folder}/cpu{cpu}/topology/core_id", cpu)
        machine.put(f"{folder}/cpu{cpu}/topology/physical_package_id", -1)
        machine.put(f"{folder}/cpu{cpu}/topology/cluster_id", 65535)
        machine.put(f"{folder}/cpu{cpu}/cpu_capacity", capacity)
    return v2_root(machine.status("0-7").memory(8))


def offline_cpus():
    """8 plugged in, 3 and 7 offline, ids up to 15 possible. An offline CPU has no topology files."""
    online = [0, 1, 2, 4, 5, 6]
    machine = Machine("offline-cpus").cpus(online, possible=up_to(8))
    machine.put("sys/devices/system/cpu/possible", "0-15")
    # The mask keeps offline CPUs, so that they are used again when they come back.
    return v2_root(machine.nodes({0: (online, 16, [10])}).status("0-15"))


def container_quota():
    """A container with a private cgroup namespace: it sees itself as the root. 2.5 CPUs and 4 GiB."""
    machine = plain("container-quota", 8, gib=64)
    v2_root(machine)
    machine.put("sys/fs/cgroup/cpu.max", "250000 100000").put("sys/fs/cgroup/memory.max", 4 << 30)
    machine.put("sys/fs/cgroup/cpuset.cpus.effective", "0-7")
    return machine.put("sys/fs/cgroup/cpu.stat", "usage_usec 8311\nnr_periods 95\nnr_throttled 12\nthrottled_usec 7000")


def container_cpuset():
    """A container without cgroup namespace: path and mount root are both the host's name of it."""
    machine = plain("container-cpuset", 8).status("2-5")
    machine.cgroup(["0::/docker/ab"], [("/docker/ab", "/sys/fs/cgroup", "cgroup2", "rw")])
    machine.put("sys/fs/cgroup/cpuset.cpus.effective", "2-5").put("sys/fs/cgroup/cpuset.cpus", "2-5")
    return machine.put("sys/fs/cgroup/cpu.max", "max 100000").put("sys/fs/cgroup/memory.max", "max")


def container_shared_pool():
    """A burstable pod: a cpuset that it shares with others, and a quota below its size."""
    machine = plain("container-shared-pool", 8).status("2-7")
    v2_root(machine)
    machine.put("sys/fs/cgroup/cpuset.cpus.effective", "2-7")
    return machine.put("sys/fs/cgroup/cpu.max", "300000 100000")


def cgroup_v1():
    """v1 without namespace, in a child of the container's cgroup; a colon in the path; limits one level up."""
    machine = plain("cgroup-v1", 8)
    path = "/kubepods/pod:1"
    machine.cgroup(
        [f"5:memory:{path}/child", f"4:cpu,cpuacct:{path}/child", f"3:cpuset:{path}", "1:name=systemd:/x"],
        [
            (path, "/sys/fs/cgroup/cpu,cpuacct", "cgroup", "rw,cpu,cpuacct"),
            (path, "/sys/fs/cgroup/memory", "cgroup", "rw,memory"),
            (path, "/sys/fs/cgroup/cpuset", "cgroup", "rw,cpuset"),
        ],
    )
    cpu, memory = "sys/fs/cgroup/cpu,cpuacct", "sys/fs/cgroup/memory"
    machine.put(f"{cpu}/cpu.cfs_quota_us", 350000).put(f"{cpu}/cpu.cfs_period_us", 100000)
    machine.put(f"{cpu}/cpu.stat", "nr_periods 9\nnr_throttled 7\nthrottled_time 1")
    machine.put(f"{cpu}/child/cpu.cfs_quota_us", -1).put(f"{cpu}/child/cpu.cfs_period_us", 100000)
    machine.put(f"{cpu}/child/cpu.stat", "nr_periods 0\nnr_throttled 0\nthrottled_time 0")
    machine.put(f"{memory}/memory.limit_in_bytes", 2 << 30)
    machine.put(f"{memory}/child/memory.limit_in_bytes", V1_NO_LIMIT)
    machine.put("sys/fs/cgroup/cpuset/cpuset.cpus", "0-7").put("sys/fs/cgroup/cpuset/cpuset.cpu_exclusive", 1)
    return machine


def cgroup_hybrid():
    """memory in v1, cpu and cpuset in the unified hierarchy; a mount point with a space in its name."""
    machine = plain("cgroup-hybrid", 8).status("0-3")
    machine.cgroup(
        ["7:memory:/svc", "1:name=systemd:/svc", "0::/svc"],
        [
            ("/", "/sys/fs/cgroup/memory", "cgroup", "rw,memory"),
            ("/", "/sys/fs/cgroup/systemd", "cgroup", "rw,name=systemd"),
            ("/", "/sys/fs/cgroup/the\\040unified", "cgroup2", "rw"),
        ],
    )
    machine.put("sys/fs/cgroup/memory/memory.limit_in_bytes", V1_NO_LIMIT)
    machine.put("sys/fs/cgroup/memory/svc/memory.limit_in_bytes", 1 << 30)
    unified = "sys/fs/cgroup/the unified"
    machine.put(f"{unified}/cpuset.cpus.effective", "0-7")
    machine.put(f"{unified}/svc/cpuset.cpus.effective", "0-3").put(f"{unified}/svc/cpuset.cpus.partition", "member")
    return machine.put(f"{unified}/svc/cpu.max", "400000 100000")


def exclusive_cpuset():
    """A valid cpuset partition with a quota: its CPUs are missing in the sets of the levels above."""
    machine = plain("exclusive-cpuset", 8).status("4-7")
    machine.cgroup(["0::/fast.slice/svc"], [("/", "/sys/fs/cgroup", "cgroup2", "rw")])
    top = "sys/fs/cgroup"
    machine.put(f"{top}/cpuset.cpus.effective", "0-3")
    machine.put(f"{top}/fast.slice/cpuset.cpus.effective", "4-7").put(f"{top}/fast.slice/cpuset.cpus.partition", "root")
    machine.put(f"{top}/fast.slice/svc/cgroup.procs", 4711)
    return machine.put(f"{top}/fast.slice/cpu.max", "200000 100000")


def nested_limits():
    """The tightest quota is two levels up, the tightest memory limit one."""
    machine = plain("nested-limits", 8)
    machine.cgroup(["0::/a/b/c"], [("/", "/sys/fs/cgroup", "cgroup2", "rw")])
    top = "sys/fs/cgroup"
    machine.put(f"{top}/a/cpu.max", "150000 100000").put(f"{top}/a/memory.max", 8 << 30)
    machine.put(f"{top}/a/cpu.stat", "nr_throttled 40")
    machine.put(f"{top}/a/b/cpu.max", "max 100000").put(f"{top}/a/b/memory.max", 3 << 30)
    machine.put(f"{top}/a/b/c/cpu.max", "600000 100000").put(f"{top}/a/b/c/memory.max", "max")
    return machine.put(f"{top}/a/b/c/cpu.stat", "nr_throttled 2")


def moved_out_of_namespace():
    """The process was moved by somebody outside: its path leaves the namespace."""
    machine = plain("moved-out-of-namespace", 4)
    machine.cgroup(["0::/../../other"], [("/", "/sys/fs/cgroup", "cgroup2", "rw")])
    return machine.put("sys/fs/cgroup/cpu.max", "100000 100000")


def files_missing():
    """A sandbox that shows next to nothing."""
    return Machine("files-missing").put("sys/devices/system/cpu/online", "0-3")


def files_malformed():
    """Every file is there, and wrong in its own way."""
    machine = plain("files-malformed", 4)
    folder = "sys/devices/system/cpu"
    machine.put(f"{folder}/possible", "0-").put(f"{folder}/isolated", "99999999999")
    machine.put(f"{folder}/cpu0/topology/core_cpus_list", "0-1").put(f"{folder}/cpu1/topology/core_cpus_list", "1")
    machine.put(f"{folder}/cpu3/topology/core_cpus_list", "zero").put(f"{folder}/cpu3/topology/core_id", "x")
    machine.put(f"{folder}/cpu2/topology/physical_package_id", "")
    machine.cache(0, 0, "three", "Unified", "1K", [0]).cache(1, 0, 3, "Unified", "1K", [7])
    machine.cache(2, 0, 3, "Unified", "bigK", [2])
    node = "sys/devices/system/node/node0"
    machine.put(f"{node}/cpulist", "0-1").put(f"{node}/distance", "ten").put(f"{node}/meminfo", "Node 0 MemTotal: many kB")
    machine.put("proc/meminfo", "MemTotal: -5 kB").put("proc/self/status", "Cpus_allowed_list:\t3-0\nMems_allowed_list:\t?")
    machine.cgroup(["0::/", "nonsense", "4:cpu"], [("/", "/sys/fs/cgroup", "cgroup2", "rw")])
    machine.put("sys/fs/cgroup/cpu.max", "100000 0").put("sys/fs/cgroup/memory.max", "-1")
    machine.put("sys/fs/cgroup/cpuset.cpus.effective", "0..3")
    return machine.put("sys/class/net/eth0/device/numa_node", "north")


MACHINES = [
    one_node, two_nodes_smt, four_nodes_sparse, l3_groups, efficiency_cores, arm_without_smt_files, offline_cpus,
    container_quota, container_cpuset, container_shared_pool, cgroup_v1, cgroup_hybrid, exclusive_cpuset, nested_limits,
    moved_out_of_namespace, files_missing, files_malformed,
]

if __name__ == "__main__":
    for folder in HERE.iterdir():
        if folder.is_dir():
            shutil.rmtree(folder)
    for make in MACHINES:
        machine = make()
        machine.write()
        print(f"{machine.name}: {len(machine.files)} files")
