// SPDX-License-Identifier: Apache-2.0

/// What the control groups of the process allow: CPUs, CPU time and memory.
///
/// Each limit is the tightest along the whole path from the process's cgroup up to the root that its mount shows,
/// because the kernel enforces every level. What lies above that root (outside a container) can't be seen.
/// - SeeAlso: cgroups(7), cgroup_namespaces(7), the kernel's cgroup-v2.rst.
public struct CgroupLimits: Sendable, Equatable {
    /// Which hierarchies the limits are in.
    public enum Version: String, Sendable, Equatable {
        /// No cgroup file system is visible: no limits are known.
        case none
        /// One hierarchy per controller.
        case v1
        /// The unified hierarchy.
        case v2
        /// Both are mounted; each controller is in one of them.
        case hybrid
    }

    /// A limit and the file that states it.
    public struct Limit<Value: Sendable & Equatable>: Sendable, Equatable {
        /// The limit; its unit is in the name of the property that holds it.
        public let value: Value
        /// The file that it was read from.
        public let path: String

        /// A limit that was read from `path`.
        public init(_ value: Value, path: String) {
            self.value = value
            self.path = path
        }
    }

    /// Which hierarchies were found.
    public let version: Version
    /// The CPUs that the cpuset controller allows; nil when it does not limit them.
    public let cpuset: Limit<CPUSet>?
    /// Whether no process outside the cgroup may use these CPUs: a valid cpuset partition (v2) or `cpu_exclusive` (v1)
    /// that is narrower than the machine.
    public let isCPUSetExclusive: Bool
    /// CPU time per time, in CPUs: 2.5 is 250 ms in each 100 ms; above 0. nil when there is no quota.
    public let quotaCPUs: Limit<Double>?
    /// Memory in bytes; nil when there is no limit.
    public let memoryBytes: Limit<Int>?
    /// The `cpu.stat` files that count throttling: of every level that has a quota, else of the process's own cgroup.
    public let throttlePaths: [String]

    /// Limits; files are read by `MachineTopology(reading:)`, this is for machines made up in tests.
    public init(
        version: Version = .none,
        cpuset: Limit<CPUSet>? = nil,
        isCPUSetExclusive: Bool = false,
        quotaCPUs: Limit<Double>? = nil,
        memoryBytes: Limit<Int>? = nil,
        throttlePaths: [String] = []
    ) {
        self.version = version
        self.cpuset = cpuset
        self.isCPUSetExclusive = isCPUSetExclusive
        self.quotaCPUs = quotaCPUs
        self.memoryBytes = memoryBytes
        self.throttlePaths = throttlePaths
    }

    /// How many scheduler periods ended with the process's cgroup frozen, over all levels that have a quota.
    ///
    /// Compare two readings: a growing count means that the reactors want more than the quota. Reads a file of one
    /// page per level (some 10 µs); from any thread, not from a reactor's turn.
    ///
    /// - Returns: The sum of `nr_throttled`, or nil when no `cpu.stat` with that line can be read.
    public func throttleCount(reading files: SystemFiles = SystemFiles()) -> Int? {
        var sum: Int?
        for path in throttlePaths {
            guard case .text(let text) = files.read(path) else { continue }
            for line in text.split(separator: "\n") {
                let words = line.split(separator: " ")
                guard words.count == 2, words[0] == "nr_throttled", let count = Int(words[1]) else { continue }
                sum = (sum ?? 0).addingReportingOverflow(count).partialValue
            }
        }
        return sum
    }
}
