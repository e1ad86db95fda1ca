// SPDX-License-Identifier: Apache-2.0

/// A CPU that no reactor runs on, and why.
public struct LeftOutCPU: Sendable, Equatable {
    /// The kernel's number of the CPU.
    public let cpu: Int
    /// The first reason that keeps reactors away from it.
    public let reason: LeftOutReason

    /// A CPU and its reason.
    public init(cpu: Int, reason: LeftOutReason) {
        self.cpu = cpu
        self.reason = reason
    }
}

/// Why a CPU gets no reactor. The order of the cases is the order in which they are looked at.
public enum LeftOutReason: Sendable, Equatable {
    /// It is possible but not online now.
    case offline
    /// The cgroup's cpuset doesn't contain it.
    case outsideCgroupCPUSet
    /// The process's affinity mask doesn't contain it.
    case outsideAffinityMask
    /// The requested cpuset (`--cpuset`) doesn't contain it.
    case outsideRequestedCPUSet
    /// The requested list of CPUs doesn't name it.
    case notListed
    /// Kept free for the load generator of a benchmark.
    case keptForLoadGenerator
    /// The benchmark's server runs on it, or on another thread of its core.
    case keptForServer
    /// It is on another NUMA node than the requested one.
    case otherNode(Int)
    /// Another thread of its core has the reactor.
    case smtSibling(of: Int)
    /// The CPU quota can't run more reactors.
    case quota(cpus: Double)
    /// It is an efficiency core, and the performance cores were enough.
    case efficiencyCore
    /// There are more CPUs than reactors were asked for.
    case moreThanAsked(reactorCount: Int)
}

extension LeftOutReason: CustomStringConvertible {
    /// Ends the sentence "it is …".
    public var description: String {
        switch self {
        case .smtSibling(let cpu): "an SMT sibling of CPU \(cpu)"
        case .otherNode(let node): "on another NUMA node (\(node))"
        default: summary
        }
    }

    /// The same words for all CPUs with this kind of reason, for tables that list them together.
    public var summary: String {
        switch self {
        case .offline: "offline"
        case .outsideCgroupCPUSet: "outside the cgroup's cpuset"
        case .outsideAffinityMask: "outside the affinity mask"
        case .outsideRequestedCPUSet: "outside the requested cpuset"
        case .notListed: "not in the requested list"
        case .keptForLoadGenerator: "kept for the load generator"
        case .keptForServer: "kept for the server"
        case .otherNode: "on another NUMA node than requested"
        case .smtSibling: "an SMT sibling of a CPU in use"
        case .quota(let cpus): "beyond the CPU quota of \(cpuCountText(cpus))"
        case .efficiencyCore: "an efficiency core, left while performance cores suffice"
        case .moreThanAsked(let count): "not needed for \(counted(count, "reactor"))"
        }
    }

    /// A stable word for JSON.
    public var name: String {
        switch self {
        case .offline: "offline"
        case .outsideCgroupCPUSet: "outsideCgroupCPUSet"
        case .outsideAffinityMask: "outsideAffinityMask"
        case .outsideRequestedCPUSet: "outsideRequestedCPUSet"
        case .notListed: "notListed"
        case .keptForLoadGenerator: "keptForLoadGenerator"
        case .keptForServer: "keptForServer"
        case .otherNode: "otherNode"
        case .smtSibling: "smtSibling"
        case .quota: "quota"
        case .efficiencyCore: "efficiencyCore"
        case .moreThanAsked: "moreThanAsked"
        }
    }
}
