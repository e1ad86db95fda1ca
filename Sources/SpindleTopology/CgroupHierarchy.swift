// SPDX-License-Identifier: Apache-2.0

/// Where the cgroup folders of the process are: `/proc/self/cgroup` brought together with `/proc/self/mountinfo`.
///
/// Pure text work; `TopologyReader` reads the files. The two disagree inside containers, in ways that the JVM, Go and
/// Envoy each learnt from bug reports (golang/go#76390, envoyproxy/envoy#47321):
///
/// | path in /proc/self/cgroup | root in mountinfo | folder |
/// |---|---|---|
/// | `/user.slice/a` | `/` | mount point + path: a plain host, or a private cgroup namespace |
/// | `/docker/1` | `/docker/1` | mount point: a container without cgroup namespace |
/// | `/docker/1/sub` | `/docker/1` | mount point + `/sub` |
/// | `/kubepods/1/sub` | `/other` | mount point + the longest end of the path that exists there, else mount point |
/// | `/../..`, `/../x` | any | mount point: the process was moved out of the namespace |
/// | `/` | `/../..` | mount point: the mount is older than the namespace; the levels between have no visible name |
/// | `/a` | `/a/b` | none: what is mounted lies below us and limits others |
struct CgroupHierarchy {
    /// One line of `/proc/self/mountinfo` that is a cgroup file system.
    struct Mount: Equatable {
        let root: String
        let point: String
        let isUnified: Bool
        /// The super block options of a v1 mount, which name its controllers.
        let controllers: [String]
    }

    /// One line of `/proc/self/cgroup`.
    struct Membership: Equatable {
        let isUnified: Bool
        let controllers: [String]
        let path: String
    }

    /// The folders of one controller, the process's own first, the mount's root last.
    struct Levels: Equatable {
        let isUnified: Bool
        let folders: [String]
        /// Why some levels may be unseen, or nil when path and mount agree.
        let doubt: String?
    }

    /// Of deeper nesting only so many levels are read, the process's own and those next to it.
    static let levelLimit = 64

    let mounts: [Mount]
    let memberships: [Membership]

    init(mountinfo: String, cgroup: String) {
        mounts = mountinfo.split(separator: "\n").compactMap { Mount(line: $0) }
        memberships = cgroup.split(separator: "\n").compactMap { Membership(line: $0) }
    }

    /// Which hierarchies are mounted.
    var version: CgroupLimits.Version {
        let hasUnified = mounts.contains(where: \.isUnified)
        let hasLegacy = mounts.contains { mount in
            !mount.isUnified && mount.controllers.contains { ["cpu", "cpuset", "memory"].contains($0) }
        }
        switch (hasLegacy, hasUnified) {
        case (true, true): return .hybrid
        case (true, false): return .v1
        case (false, true): return .v2
        case (false, false): return .none
        }
    }

    /// The folders that limit the process through a controller ("cpu", "cpuset", "memory"); nil when none is visible.
    ///
    /// A controller is in its v1 hierarchy if there is one, else in the unified one.
    func levels(of controller: String, exists: (String) -> Bool) -> Levels? {
        let legacy = memberships.first { !$0.isUnified && $0.controllers.contains(controller) }
        guard let membership = legacy ?? memberships.first(where: \.isUnified) else { return nil }
        let candidates = mounts.filter { mount in
            mount.isUnified == membership.isUnified && (mount.isUnified || mount.controllers.contains(controller))
        }
        var best: Levels?
        for mount in candidates {
            guard let levels = levels(of: membership, in: mount, exists: exists) else { continue }
            if levels.doubt == nil { return levels }
            best = best ?? levels
        }
        return best
    }

    private func levels(of membership: Membership, in mount: Mount, exists: (String) -> Bool) -> Levels? {
        let path = components(membership.path)
        let root = components(mount.root)
        func result(_ below: some Collection<String>, doubt: String?) -> Levels {
            let folders = (0...below.count).reversed().prefix(CgroupHierarchy.levelLimit).map { count in
                ([mount.point == "/" ? "" : mount.point] + below.prefix(count)).joined(separator: "/")
            }
            return Levels(isUnified: mount.isUnified, folders: folders, doubt: doubt)
        }
        guard !path.contains("..") else {
            let found = printable(membership.path)
            return result([], doubt: "the process was moved out of its cgroup namespace ('\(found)')")
        }
        guard !root.contains("..") else {
            return result([], doubt: "the mount is older than the cgroup namespace (root '\(printable(mount.root))')")
        }
        if root.count > path.count, !path.isEmpty, root.starts(with: path) { return nil }
        if path.starts(with: root) {
            let below = path.dropFirst(root.count)
            if below.isEmpty || exists(([mount.point] + below).joined(separator: "/")) {
                return result(below, doubt: nil)
            }
        }
        let doubt = "cgroup '\(printable(membership.path))' is not in the mount (root '\(printable(mount.root))')"
        for start in 0..<path.count where exists(([mount.point] + path[start...]).joined(separator: "/")) {
            return result(path[start...], doubt: start == 0 ? nil : doubt)
        }
        return result([], doubt: doubt)
    }
}

extension CgroupHierarchy.Mount {
    /// proc_pid_mountinfo(5): `31 23 0:28 /root /point options tags… - type source superoptions`; nil for other lines.
    fileprivate init?(line: Substring) {
        let words = line.split(separator: " ", omittingEmptySubsequences: false)
        guard let dash = words.firstIndex(of: "-"), dash >= 6, words.count >= dash + 4,
            words[dash + 1] == "cgroup" || words[dash + 1] == "cgroup2"
        else { return nil }
        root = unescaped(words[3])
        point = unescaped(words[4])
        isUnified = words[dash + 1] == "cgroup2"
        controllers = words[dash + 3].split(separator: ",").map(String.init)
    }
}

extension CgroupHierarchy.Membership {
    /// cgroups(7): `4:cpu,cpuacct:/path`, or `0::/path` of the unified hierarchy. A path may contain colons.
    fileprivate init?(line: Substring) {
        let fields = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
        guard fields.count == 3, fields[2].hasPrefix("/") else { return nil }
        controllers = fields[1].split(separator: ",").map(String.init)
        isUnified = fields[0] == "0" && controllers.isEmpty
        // The kernel marks a removed cgroup so; its limits no longer have files.
        let deleted = " (deleted)"
        path = String(fields[2].hasSuffix(deleted) ? fields[2].dropLast(deleted.count) : fields[2])
    }
}

private func components(_ path: String) -> [String] {
    path.split(separator: "/").filter { $0 != "." }.map(String.init)
}

/// Undoes the octal escapes (`\040`) that the kernel uses for space, tab, newline and backslash.
private func unescaped(_ text: Substring) -> String {
    var bytes: [UInt8] = []
    var rest = Array(text.utf8)[...]
    while let byte = rest.popFirst() {
        let digits = rest.prefix(3)
        guard byte == UInt8(ascii: "\\"), digits.count == 3, digits.allSatisfy({ (0x30...0x37).contains($0) }) else {
            bytes.append(byte)
            continue
        }
        bytes.append(UInt8(truncatingIfNeeded: digits.reduce(0) { $0 * 8 + Int($1 - 0x30) }))
        rest = rest.dropFirst(3)
    }
    return String(decoding: bytes, as: UTF8.self)
}
