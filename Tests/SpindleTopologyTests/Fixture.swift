// SPDX-License-Identifier: Apache-2.0

import Foundation
import SpindleTopology

/// The machines of `Fixtures/`, made by `make_fixtures.py`.
enum Fixture: String, CaseIterable, Sendable {
    case oneNode = "one-node"
    case twoNodesSMT = "two-nodes-smt"
    case fourNodesSparse = "four-nodes-sparse"
    case l3Groups = "l3-groups"
    case efficiencyCores = "efficiency-cores"
    case armWithoutSMTFiles = "arm-without-smt-files"
    case offlineCPUs = "offline-cpus"
    case containerQuota = "container-quota"
    case containerCPUSet = "container-cpuset"
    case containerSharedPool = "container-shared-pool"
    case cgroupV1 = "cgroup-v1"
    case cgroupHybrid = "cgroup-hybrid"
    case exclusiveCPUSet = "exclusive-cpuset"
    case nestedLimits = "nested-limits"
    case movedOutOfNamespace = "moved-out-of-namespace"
    case filesMissing = "files-missing"
    case filesMalformed = "files-malformed"

    private var folder: URL {
        Bundle.module.bundleURL.appending(path: "Fixtures/\(rawValue)")
    }

    /// The files on disk.
    var files: SystemFiles { SystemFiles(root: folder.path(percentEncoded: false)) }

    /// The machine as read from disk.
    var machine: MachineTopology { MachineTopology(reading: files) }

    /// The files as bytes by absolute path, for tests that change them.
    var contents: [String: [UInt8]] {
        let root = folder.resolvingSymlinksInPath().path(percentEncoded: false)
        var contents: [String: [UInt8]] = [:]
        for path in FileManager.default.enumerator(atPath: root).map({ Array($0) }) ?? [] {
            guard let path = path as? String,
                let data = FileManager.default.contents(atPath: "\(root)/\(path)")
            else { continue }
            contents["/\(path)"] = Array(data)
        }
        return contents
    }
}
