// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import SpindleTopology

@Suite("CgroupHierarchy")
struct CgroupHierarchyTests {
    /// One row of the table in `CgroupHierarchy`: path, mount root, folders that exist, expected folders.
    struct Row: Sendable, CustomTestStringConvertible {
        let path: String
        let root: String
        var existing: Set<String> = []
        let folders: [String]?
        var isDoubtful = false
        var testDescription: String { "\(path) in a mount of \(root)" }
    }

    static let rows = [
        Row(path: "/", root: "/", folders: ["/cg"]),
        Row(path: "/a/b", root: "/", existing: ["/cg/a/b"], folders: ["/cg/a/b", "/cg/a", "/cg"]),
        Row(path: "/docker/1", root: "/docker/1", folders: ["/cg"]),
        Row(path: "/docker/1/s", root: "/docker/1", existing: ["/cg/s"], folders: ["/cg/s", "/cg"]),
        Row(path: "/docker/11", root: "/docker/1", folders: ["/cg"], isDoubtful: true),
        Row(path: "/k/1/s", root: "/other", existing: ["/cg/s"], folders: ["/cg/s", "/cg"], isDoubtful: true),
        Row(path: "/gone", root: "/", folders: ["/cg"], isDoubtful: true),
        Row(path: "/gone (deleted)", root: "/gone", folders: ["/cg"]),
        Row(path: "/../..", root: "/", folders: ["/cg"], isDoubtful: true),
        Row(path: "/../x", root: "/", existing: ["/cg/x"], folders: ["/cg"], isDoubtful: true),
        Row(path: "/", root: "/../..", folders: ["/cg"], isDoubtful: true),
        Row(path: "/a", root: "/a/b", folders: nil),
    ]

    @Test("path and mount root together give the process's folder and those above it", arguments: rows)
    func folders(row: Row) {
        let hierarchy = CgroupHierarchy(
            mountinfo: "30 22 0:26 \(row.root) /cg rw shared:4 - cgroup2 cgroup2 rw",
            cgroup: "0::\(row.path)"
        )
        let levels = hierarchy.levels(of: "cpu") { row.existing.contains($0) }
        #expect(levels?.folders == row.folders)
        #expect((levels?.doubt != nil) == row.isDoubtful)
    }

    @Test("of two mounts of one hierarchy the one that contains the process is taken")
    func twoMounts() {
        let hierarchy = CgroupHierarchy(
            mountinfo: """
                30 22 0:26 /other /host rw - cgroup2 none rw
                31 22 0:26 / /mine rw - cgroup2 none rw
                """,
            cgroup: "0::/a"
        )
        #expect(hierarchy.levels(of: "memory") { $0 == "/mine/a" }?.folders == ["/mine/a", "/mine"])
    }

    @Test("a v1 controller goes before the unified hierarchy, and is found among its co-mounted ones")
    func legacyFirst() {
        let hierarchy = CgroupHierarchy(
            mountinfo: """
                30 22 0:26 / /v2 rw - cgroup2 none rw
                31 22 0:27 / /cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
                """,
            cgroup: "4:cpu,cpuacct:/\n0::/"
        )
        #expect(hierarchy.version == .hybrid)
        #expect(hierarchy.levels(of: "cpu") { _ in true }?.folders == ["/cpu,cpuacct"])
        #expect(hierarchy.levels(of: "memory") { _ in true }?.folders == ["/v2"])
        #expect(hierarchy.levels(of: "cpu") { _ in true }?.isUnified == false)
    }

    @Test("octal escapes of mount points are undone, broken ones kept")
    func escapes() {
        let hierarchy = CgroupHierarchy(
            mountinfo: #"30 22 0:26 / /a\040b\134c\04 rw - cgroup2 none rw"#,
            cgroup: "0::/"
        )
        #expect(hierarchy.mounts.first?.point == #"/a b\c\04"#)
    }

    @Test("lines that are no cgroup mounts or memberships are passed over")
    func otherLines() {
        let hierarchy = CgroupHierarchy(
            mountinfo: "\n-\n1 2 3\n22 1 254:0 / / rw - ext4 /dev/vda rw\n30 22 0:26 / /c rw -",
            cgroup: "\n::\n0:\n5:cpu:relative\n"
        )
        #expect(hierarchy.mounts.isEmpty)
        #expect(hierarchy.memberships.isEmpty)
        #expect(hierarchy.version == .none)
        #expect(hierarchy.levels(of: "cpu") { _ in true } == nil)
    }

    @Test("a path of a thousand levels is cut at the limit")
    func deepPath() {
        let path = String(repeating: "/x", count: 1_000)
        let hierarchy = CgroupHierarchy(mountinfo: "30 22 0:26 / /c rw - cgroup2 none rw", cgroup: "0::\(path)")
        #expect(hierarchy.levels(of: "cpu") { _ in true }?.folders.count == CgroupHierarchy.levelLimit)
    }
}
