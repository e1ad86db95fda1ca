// SPDX-License-Identifier: Apache-2.0

import Spindle
import SpindleTopology

/// Which CPUs a benchmark's server and its load generator have. Pure.
struct BenchSides {
    /// Where the server is.
    enum ServerPlace: Equatable {
        /// In this process, or a child of it.
        case ours
        /// Another process of this machine, with the CPUs that it may run on when they are known.
        case otherProcess(CPUSet?)
        /// On another machine.
        case elsewhere
    }

    /// The server's, when it is ours.
    let server: Placement?
    let generator: Placement
    /// Both have to share cores.
    let sharesCores: Bool
    /// What that, or the machine, costs in truth; one sentence each.
    let warnings: [String]

    init(_ request: PlacementRequest, _ place: ServerPlace, on machine: MachineTopology) throws {
        switch place {
        case .elsewhere:
            (server, generator) = (nil, try Placement.plan(request, on: machine))
            (sharesCores, warnings) = (false, [])
        case .otherProcess(let taken?) where !machine.usableCPUs.subtracting(taken).isEmpty:
            var beside = request
            let free = machine.usableCPUs.subtracting(taken)
            beside.cpuset = request.cpuset.map { free.intersection($0) } ?? free
            (server, generator) = (nil, try Placement.plan(beside, on: machine))
            (sharesCores, warnings) = (false, [])
        case .ours, .otherProcess:
            let split = try BenchmarkPlacement.plan(request, on: machine)
            (server, generator) = (place == .ours ? split.server : nil, split.load)
            (sharesCores, warnings) = (split.sharesCores, split.warnings)
        }
    }

    var serverReactorCount: Int { server?.reactors.count ?? 1 }

    /// The CPUs that the server's reactors may run on.
    var serverCPUs: CPUSet { CPUSet((server?.reactors ?? []).flatMap { Array($0.allowedCPUs) }) }
}
