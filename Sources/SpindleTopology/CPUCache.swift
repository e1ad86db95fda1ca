// SPDX-License-Identifier: Apache-2.0

/// One cache and the CPUs that share it (`/sys/devices/system/cpu/cpu*/cache/index*`).
public struct CPUCache: Sendable, Equatable {
    /// What a cache holds.
    public enum Contents: String, Sendable, Equatable {
        /// Data only (L1d).
        case data
        /// Instructions only (L1i).
        case instruction
        /// Both.
        case unified
    }

    /// 1 is next to the core.
    public let level: Int
    /// What it holds.
    public let contents: Contents
    /// Its capacity; nil where the kernel does not know.
    public let sizeBytes: Int?
    /// The online CPUs that share it; never empty.
    public let cpus: CPUSet

    /// A cache shared by `cpus`.
    public init(level: Int, contents: Contents, sizeBytes: Int?, cpus: CPUSet) {
        self.level = level
        self.contents = contents
        self.sizeBytes = sizeBytes
        self.cpus = cpus
    }
}
