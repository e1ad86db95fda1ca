// SPDX-License-Identifier: Apache-2.0

/// Why a placement request can't be met on a machine; `description` names what was asked and what is allowed.
///
/// All of them are the user's to mend: a command exits with EX_USAGE (64) after printing the description.
public enum PlacementError: Error, Sendable, Equatable {
    /// Affinity mask, cgroup cpuset and online CPUs have none in common, or the requested cpuset is empty.
    case noUsableCPU(affinity: CPUSet, online: CPUSet, cgroup: CPUSet?)
    /// A CPU of `cpuset` or `cpuList` that this machine doesn't have.
    case unknownCPU(Int, usable: CPUSet)
    /// A CPU of `cpuset` or `cpuList` that exists and may not be used.
    case cpuNotUsable(Int, reason: LeftOutReason, usable: CPUSet)
    /// A CPU that is named twice in `cpuList`, without `oversubscribe`.
    case duplicateCPU(Int)
    /// `cpuList` or `cpuset` is there and empty.
    case emptyList
    /// No such NUMA node.
    case unknownNode(Int, nodes: [Int])
    /// The node is there, and none of its CPUs may be used, or it has none.
    case nodeNotUsable(Int, hasCPUs: Bool, usableNodes: [Int])
    /// No such network interface.
    case unknownInterface(String, interfaces: [String])
    /// A number of reactors that is below 1 or above `Placement.reactorLimit`.
    case reactorCountOutOfRange(Int)
    /// More reactors than CPUs, without `oversubscribe`.
    case tooManyReactors(requested: Int, usable: CPUSet)
    /// Spinning reactors would use the quota up and then be frozen, without `oversubscribe`.
    case pollModeUnderQuota(cpus: Double, path: String)
}

extension PlacementError: CustomStringConvertible {
    /// One sentence or two: what is wrong, and what is allowed.
    public var description: String {
        switch self {
        case .noUsableCPU(let affinity, let online, let cgroup):
            "no CPU may be used: the affinity mask has \(affinity), the cgroup cpuset "
                + "\(cgroup.map(\.description) ?? "all"), online are \(online)"
        case .unknownCPU(let cpu, let usable):
            "CPU \(cpu) doesn't exist on this machine; usable are \(usable)"
        case .cpuNotUsable(let cpu, let reason, let usable):
            "CPU \(cpu) can't be used: it is \(reason); usable are \(usable)"
        case .duplicateCPU(let cpu):
            "CPU \(cpu) is listed twice; name each CPU once, or oversubscribe"
        case .emptyList:
            "the list of CPUs is empty; name at least one CPU"
        case .unknownNode(let node, let nodes):
            "NUMA node \(node) doesn't exist; this machine has \(numberList(nodes))"
        case .nodeNotUsable(let node, let hasCPUs, let usableNodes):
            "NUMA node \(node) \(hasCPUs ? "has no CPU that may be used" : "has no CPUs (memory only)"); "
                + "usable are \(numberList(usableNodes))"
        case .unknownInterface(let name, let interfaces):
            "network interface '\(printable(name))' doesn't exist; there are "
                + (interfaces.isEmpty ? "none" : nameList(interfaces))
        case .reactorCountOutOfRange(let count):
            "\(counted(count, "reactor")) can't be started; allowed are 1 to \(Placement.reactorLimit)"
        case .tooManyReactors(let requested, let usable):
            "\(counted(requested, "reactor")) on \(counted(usable.count, "usable CPU")) (\(usable)); "
                + "ask for 1 to \(usable.count), or oversubscribe"
        case .pollModeUnderQuota(let cpus, let path):
            "poll mode under a CPU quota of \(cpuCountText(cpus)) (\(printable(path, maximumLength: 200))) "
                + "spends it on spinning and is then frozen; leave poll mode off, or oversubscribe"
        }
    }

    private func numberList(_ numbers: [Int]) -> String {
        numbers.isEmpty ? "none" : numbers.map(String.init).joined(separator: ", ")
    }

    /// At most 8 names: a container host has hundreds of interfaces.
    private func nameList(_ names: [String]) -> String {
        let shown = names.prefix(8).map { printable($0) }.joined(separator: ", ")
        return names.count > 8 ? "\(shown) and \(names.count - 8) more" : shown
    }
}
