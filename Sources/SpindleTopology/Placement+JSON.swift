// SPDX-License-Identifier: Apache-2.0

extension Placement {
    /// The plan as JSON, in the form of `MachineTopology.json`.
    ///
    /// `cpu` of a reactor is `null` when its thread floats over `allowedCPUs`. `reason` words are stable, `text` is for
    /// people and may change.
    public var json: JSONValue {
        .object([
            .init("pinned", .bool(isPinned)),
            .init("pinReason", .string(pinReason.name)),
            .init("reactors", .array(reactors.map(\.json))),
            .init("leftOut", .array(leftOut.map(\.json))),
            .init("nearestReactorByCPU", .integers(nearestReactorByCPU)),
            .init("warnings", .strings(warnings)),
        ])
    }
}

extension BenchmarkPlacement {
    /// Both plans as JSON, each in the form of `Placement.json`.
    public var json: JSONValue {
        .object([
            .init("server", server.json),
            .init("load", load.json),
            .init("sharesCores", .bool(sharesCores)),
            .init("warnings", .strings(warnings)),
        ])
    }
}

extension ReactorPlacement {
    fileprivate var json: JSONValue {
        .object([
            .init("index", .integer(index)),
            .init("cpu", .integer(cpu)),
            .init("allowedCPUs", .string(allowedCPUs.listText)),
            .init("node", .integer(node)),
            .init("memoryNode", .integer(memoryNode)),
            .init("l3Group", .integer(l3Group)),
            .init("smtSiblings", .integers(smtSiblings)),
            .init("coreSharers", .integers(coreSharers)),
            .init("memoryBudgetBytes", .integer(memoryBudgetBytes)),
        ])
    }
}

extension LeftOutCPU {
    fileprivate var json: JSONValue {
        .object([
            .init("cpu", .integer(cpu)),
            .init("reason", .string(reason.name)),
            .init("text", .string(reason.description)),
        ])
    }
}
