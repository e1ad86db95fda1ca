// SPDX-License-Identifier: Apache-2.0

/// One NUMA node: CPUs and the memory next to them (`/sys/devices/system/node/node*`).
///
/// Either part may be missing: memory expanders (CXL) have no CPUs, and firmware that has disabled a node's DIMMs
/// leaves CPUs without memory. Ids are sparse (0, 8, 252 on POWER) and may be above 63.
public struct NUMANode: Sendable, Equatable {
    /// The kernel's number of the node.
    public let id: Int
    /// Its online CPUs; may be empty.
    public let cpus: CPUSet
    /// All of its memory in bytes; 0 when it has none, nil when the kernel does not say.
    public let memoryTotalBytes: Int?
    /// Its unused memory in bytes when the machine was read; nil when the kernel does not say.
    public let memoryFreeBytes: Int?
    /// Relative access cost to each node by id: 10 is local, 20 twice as far (ACPI SLIT). Has an entry for itself.
    public let distances: [Int: Int]

    /// A node; a missing distance to itself is 10.
    public init(
        id: Int,
        cpus: CPUSet,
        memoryTotalBytes: Int? = nil,
        memoryFreeBytes: Int? = nil,
        distances: [Int: Int] = [:]
    ) {
        self.id = id
        self.cpus = cpus
        self.memoryTotalBytes = memoryTotalBytes
        self.memoryFreeBytes = memoryFreeBytes
        self.distances = distances.merging([id: 10]) { given, _ in given }
    }

    /// Whether memory can be allocated on it; true when the kernel does not say.
    public var hasMemory: Bool { memoryTotalBytes != 0 }

    /// The distance to another node; 20 (ACPI's "remote") when the firmware does not say.
    public func distance(to other: Int) -> Int {
        distances[other] ?? (other == id ? 10 : 20)
    }
}
