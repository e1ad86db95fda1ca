// SPDX-License-Identifier: Apache-2.0

// Control group limits.
extension TopologyReader {
    /// A host of containers has some thousand mounts with 200 to 2,000 bytes each.
    private static let mountinfoLimitBytes = 16 << 20

    /// The tightest limits along the path of the process's cgroups.
    mutating func readCgroup(online: CPUSet) -> CgroupLimits {
        guard let cgroup = text("/proc/self/cgroup"),
            let mountinfo = text("/proc/self/mountinfo", limitBytes: TopologyReader.mountinfoLimitBytes)
        else {
            notes.add("/proc/self/cgroup", "no cgroups or mounts visible; no limits assumed")
            return CgroupLimits()
        }
        let hierarchy = CgroupHierarchy(mountinfo: mountinfo, cgroup: cgroup)
        let cpu = levels(of: "cpu", in: hierarchy)
        let cpuset = levels(of: "cpuset", in: hierarchy)
        let memory = levels(of: "memory", in: hierarchy)
        let quotas = cpu.map { readQuotas($0) } ?? []
        let set = cpuset.flatMap { readCPUSet($0, online: online) }
        return CgroupLimits(
            version: hierarchy.version,
            cpuset: set,
            isCPUSetExclusive: set.map { isExclusive($0.value, cpuset) } ?? false,
            quotaCPUs: quotas.min { $0.value < $1.value },
            memoryBytes: memory.flatMap { readMemoryLimit($0) },
            throttlePaths: throttlePaths(cpu, quotas)
        )
    }

    private mutating func levels(of controller: String, in hierarchy: CgroupHierarchy) -> CgroupHierarchy.Levels? {
        let files = files
        guard let levels = hierarchy.levels(of: controller, exists: { files.exists($0) }) else { return nil }
        if let doubt = levels.doubt {
            // The same words for each controller, so that one hierarchy gets one note.
            notes.add("/proc/self/cgroup", "\(doubt); limits are those of \(printable(levels.folders[0])) and above")
        }
        return levels
    }

    /// The quota of each level that has one, in CPUs.
    private mutating func readQuotas(_ levels: CgroupHierarchy.Levels) -> [CgroupLimits.Limit<Double>] {
        var quotas: [CgroupLimits.Limit<Double>] = []
        for folder in levels.folders {
            let path = levels.isUnified ? "\(folder)/cpu.max" : "\(folder)/cpu.cfs_quota_us"
            guard let text = text(path) else { continue }
            let words = text.split(whereSeparator: \.isWhitespace)
            // v2 says "max 100000" for no limit, v1 says -1.
            if words.first == (levels.isUnified ? "max" : "-1") { continue }
            let period: Int?
            if levels.isUnified {
                period = words.count == 2 ? Int(words[1]) : nil
            } else {
                period = integer("\(folder)/cpu.cfs_period_us")
            }
            guard let quota = words.first.flatMap({ Int($0) }), quota > 0, let period, period > 0 else {
                notes.add(path, "not a quota: '\(printable(trimmed(text), maximumLength: 24))'; ignored")
                continue
            }
            quotas.append(CgroupLimits.Limit(Double(quota) / Double(period), path: path))
        }
        return quotas
    }

    /// A quota's throttling is counted where the quota stands, so an outer one shows only in the outer `cpu.stat`.
    private func throttlePaths(
        _ levels: CgroupHierarchy.Levels?,
        _ quotas: [CgroupLimits.Limit<Double>]
    ) -> [String] {
        guard let levels else { return [] }
        let folders = levels.folders.filter { folder in quotas.contains { $0.path.hasPrefix(folder + "/cpu.") } }
        let paths = (folders.isEmpty ? [levels.folders[0]] : folders).map { "\($0)/cpu.stat" }
        return paths.filter { files.exists($0) }
    }

    /// The allowed CPUs, or nil when they are all that are online.
    ///
    /// The nearest level that states an effective set decides: the kernel has already taken the outer levels into it.
    /// Intersecting with the outer levels' effective sets would be wrong, since a partition's CPUs are missing there.
    private mutating func readCPUSet(
        _ levels: CgroupHierarchy.Levels,
        online: CPUSet
    ) -> CgroupLimits.Limit<CPUSet>? {
        let effectiveName = levels.isUnified ? "cpuset.cpus.effective" : "cpuset.effective_cpus"
        var tightest: CgroupLimits.Limit<CPUSet>?
        for folder in levels.folders {
            let path = "\(folder)/\(effectiveName)"
            guard let set = list(path), !set.isEmpty else { continue }
            tightest = CgroupLimits.Limit(set, path: path)
            break
        }
        if tightest == nil {
            for folder in levels.folders {
                let path = "\(folder)/cpuset.cpus"
                guard let set = list(path), !set.isEmpty else { continue }
                let narrowed = tightest.map { $0.value.intersection(set) } ?? set
                if narrowed != tightest?.value { tightest = CgroupLimits.Limit(narrowed, path: path) }
            }
        }
        return tightest.flatMap { online.isSubset(of: $0.value) ? nil : $0 }
    }

    /// Whether the cpuset is ours alone.
    ///
    /// v2: the process's own cgroup, or one above with the same CPUs, is a *valid* partition ("root invalid (…)" is
    /// not). v1: the own cgroup is `cpu_exclusive`. The root cgroup of v1 always says so, but it is never narrower
    /// than the machine, and then this is not asked.
    private mutating func isExclusive(_ set: CPUSet, _ levels: CgroupHierarchy.Levels?) -> Bool {
        guard let levels else { return false }
        guard levels.isUnified else {
            return text("\(levels.folders[0])/cpuset.cpu_exclusive").map { trimmed($0) } == "1"
        }
        for folder in levels.folders {
            guard let state = text("\(folder)/cpuset.cpus.partition").map({ trimmed($0) }) else { continue }
            guard state == "root" || state == "isolated" else { continue }
            if list("\(folder)/cpuset.cpus.effective") == set { return true }
        }
        return false
    }

    /// The tightest memory limit in bytes.
    private mutating func readMemoryLimit(_ levels: CgroupHierarchy.Levels) -> CgroupLimits.Limit<Int>? {
        var tightest: CgroupLimits.Limit<Int>?
        for folder in levels.folders {
            let path = "\(folder)/\(levels.isUnified ? "memory.max" : "memory.limit_in_bytes")"
            guard let text = text(path).map({ trimmed($0) }), text != "max" else { continue }
            guard let bytes = Int(text), bytes > 0 else {
                notes.add(path, "not a limit: '\(printable(text, maximumLength: 24))'; ignored")
                continue
            }
            // v1 has no word for "no limit"; it prints the largest whole page below 2^63, with some page sizes less.
            if bytes >= 1 << 60 { continue }
            if bytes < tightest?.value ?? Int.max { tightest = CgroupLimits.Limit(bytes, path: path) }
        }
        return tightest
    }
}
