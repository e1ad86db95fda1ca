// SPDX-License-Identifier: Apache-2.0

/// One run of `Placement.plan`: checks the request, finds candidates, counts, orders, and explains what is left.
///
/// The steps are in `plan()`; each is pure but for the warnings and reasons that it collects here.
struct PlacementPlanner {
    let request: PlacementRequest
    let machine: MachineTopology
    /// CPUs that the other side of a benchmark has, with the reason to show; empty otherwise.
    var withheld: [Int: LeftOutReason] = [:]
    /// The quota that an automatic number of reactors is measured by; a benchmark's server has a part of it.
    var quotaForCount: Double?

    /// Affinity mask ∩ cgroup cpuset ∩ online.
    let usable: CPUSet
    /// Why each CPU that is no longer a candidate was dropped.
    var reasons: [Int: LeftOutReason] = [:]
    var warnings: [String] = []

    init(request: PlacementRequest, machine: MachineTopology) {
        self.request = request
        self.machine = machine
        usable = machine.usableCPUs
        quotaForCount = machine.cgroup.quotaCPUs?.value
    }

    mutating func plan() throws(PlacementError) -> Placement {
        try checkRequestedCPUs()
        let home = try homeNode()
        let candidates = try findCandidates()
        let count = try reactorCount(candidates)
        try checkQuota(count: count.value)
        let order = CPUOrder(
            candidates,
            on: machine,
            strategy: request.strategy,
            home: home,
            count: count.value
        )
        let pinReason = decidePinning()
        let reactors: [ReactorPlacement]
        if pinReason.isPinned {
            let cpus = chooseCPUs(order, count: count.value)
            explainUnchosen(candidates, chosen: cpus, count: count)
            reactors = pinnedReactors(cpus, count: count.value)
        } else {
            let allowed = floatingCPUs(candidates, home: home, count: count.value)
            reactors = floatingReactors(allowed, count: count.value)
        }
        warnAboutMemory(reactors)
        return Placement(
            reactors: reactors,
            leftOut: reasons.map { LeftOutCPU(cpu: $0.key, reason: $0.value) }.sorted { $0.cpu < $1.cpu },
            pinReason: pinReason,
            warnings: warnings,
            nearestReactorByCPU: NearestReactorTable(reactors: reactors, machine: machine).reactorByCPU
        )
    }

    /// How many reactors, and whether the quota was what limited them.
    struct ReactorCount {
        let value: Int
        let isLimitedByQuota: Bool
    }

    private mutating func reactorCount(_ candidates: [LogicalCPU]) throws(PlacementError) -> ReactorCount {
        // A list that names a CPU twice means two reactors there.
        let available = listedCPUs?.count ?? candidates.count
        var wanted = available
        var isLimitedByQuota = false
        switch request.cores {
        case .automatic:
            if request.cpuList == nil, let quota = quotaForCount {
                // One reactor more than the quota can run gets all of them frozen together.
                wanted = min(available, quota >= 1 ? Int(min(quota, Double(Placement.reactorLimit))) : 1)
                isLimitedByQuota = wanted < available
            }
        case .all, .physical:
            break
        case .count(let count):
            guard (1...Placement.reactorLimit).contains(count) else { throw .reactorCountOutOfRange(count) }
            guard count <= available || request.oversubscribe else {
                throw .tooManyReactors(requested: count, usable: CPUSet(candidates.map(\.id)))
            }
            if count > available {
                warnings.append(
                    "\(counted(count, "reactor")) on \(counted(available, "CPU")): those on the same CPU take turns"
                )
            }
            wanted = count
        }
        if wanted > Placement.reactorLimit {
            warnings.append("more than \(Placement.reactorLimit) reactors are not supported; the rest is left out")
            wanted = Placement.reactorLimit
        }
        return ReactorCount(value: wanted, isLimitedByQuota: isLimitedByQuota)
    }

    /// Refuses poll mode under a quota, and warns where a quota will be felt.
    private mutating func checkQuota(count: Int) throws(PlacementError) {
        guard let quota = machine.effectiveQuotaCPUs, let path = machine.cgroup.quotaCPUs?.path else { return }
        let amount = cpuCountText(quota)
        if request.pollMode {
            guard request.oversubscribe else { throw .pollModeUnderQuota(cpus: quota, path: path) }
            warnings.append("poll mode spends the CPU quota of \(amount) on spinning; expect throttling")
        }
        if quota < 1 {
            warnings.append("the CPU quota of \(amount) is less than one CPU: a busy reactor is frozen in every period")
        } else if Double(count) > quota {
            warnings.append(
                "\(counted(count, "reactor")) share a CPU quota of \(amount): when it is spent all of them are frozen "
                    + "together; \(Int(quota)) would fit"
            )
        }
    }

    /// DESIGN.md "Placement": bind when the CPUs are ours alone or no quota applies.
    ///
    /// A narrow affinity mask counts only as far as it is not the cgroup's cpuset or `isolcpus=` that narrowed it: a
    /// cpuset may be shared (the pool of Kubernetes' burstable pods), and under a quota below its size all its
    /// containers would bind to the same first CPUs.
    private mutating func decidePinning() -> Placement.PinReason {
        let ordinaryMask = (machine.cgroup.cpuset?.value.intersection(machine.onlineCPUs) ?? machine.onlineCPUs)
            .subtracting(machine.isolatedCPUs)
        let isNarrowed = !ordinaryMask.isSubset(of: machine.affinity)
        let isOurs = machine.cgroup.isCPUSetExclusive || isNarrowed
        switch request.pin {
        case .never:
            return .refused
        case .always:
            if let quota = machine.effectiveQuotaCPUs, !isOurs {
                warnings.append(
                    "bound to CPUs that others may be bound to as well "
                        + "(a quota of \(cpuCountText(quota)) on shared CPUs)"
                )
            }
            return .requested
        case .auto:
            if request.cpuList != nil { return .listed }
            if machine.cgroup.isCPUSetExclusive { return .exclusiveCPUSet }
            guard let quota = machine.effectiveQuotaCPUs else { return .noQuota }
            return isNarrowed ? .narrowAffinity : .quotaOnSharedCPUs(cpus: quota)
        }
    }
}
