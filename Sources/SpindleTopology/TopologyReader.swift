// SPDX-License-Identifier: Apache-2.0

extension MachineTopology {
    /// Reads a machine from `/sys` and `/proc`.
    ///
    /// Never fails: what is missing or malformed is assumed to be the simplest thing (its own core, one node, no limit)
    /// and stands in `notes`. Some 12 small files per CPU: 1 ms on 2 CPUs, tens of ms on hundreds. The affinity mask is
    /// that of the main thread (`/proc/self/status`), so read it before any thread is pinned.
    ///
    /// - Parameter files: `SystemFiles()` is the running machine.
    public init(reading files: SystemFiles) {
        var reader = TopologyReader(files: files)
        self = reader.readMachine()
    }
}

/// Turns files into a `MachineTopology`; the extensions read one subject each.
struct TopologyReader {
    let files: SystemFiles
    var notes = TopologyNotes()

    init(files: SystemFiles) {
        self.files = files
    }

    mutating func readMachine() -> MachineTopology {
        let status = readStatus()
        let cpuSets = readCPUSets(affinity: status.affinity)
        let memory = readMeminfo("/proc/meminfo")
        let caches = readCaches(of: cpuSets.online)
        let nodes = readNodes(online: cpuSets.online, machineMemory: memory)
        let cpus = readCPUs(cpuSets, caches: caches, nodes: nodes)
        let cgroup = readCgroup(online: cpuSets.online)
        if status.affinity == nil {
            notes.add("/proc/self/status", "no Cpus_allowed_list; every online CPU is taken as allowed")
        }
        return MachineTopology(
            cpus: cpus,
            possibleCPUs: cpuSets.possible,
            isolatedCPUs: cpuSets.isolated,
            nodes: nodesOwningAllCPUs(nodes, cpus: cpus),
            caches: caches,
            interfaces: readInterfaces(),
            affinity: status.affinity,
            allowedMemoryNodes: status.memoryNodes,
            cgroup: cgroup,
            memoryBytes: memory.totalBytes,
            hypervisor: readHypervisor(),
            notes: notes.texts
        )
    }

    /// The affinity mask and memory nodes of the main thread.
    private mutating func readStatus() -> (affinity: CPUSet?, memoryNodes: [Int]) {
        let path = "/proc/self/status"
        guard let text = text(path) else { return (nil, []) }
        var affinity: CPUSet?
        var memoryNodes: [Int] = []
        for line in text.split(separator: "\n") {
            guard let colon = line.firstIndex(of: ":") else { continue }
            let value = String(line[line.index(after: colon)...])
            switch line[..<colon] {
            case "Cpus_allowed_list": affinity = parseList(value, path)
            case "Cpus_allowed" where affinity == nil: affinity = parseMask(value, path)
            case "Mems_allowed_list": memoryNodes = parseList(value, path).map(Array.init) ?? []
            default: continue
            }
        }
        return (affinity.flatMap { $0.isEmpty ? nil : $0 }, memoryNodes)
    }

    /// The hypervisor's name: Xen says it in /sys, others show in the firmware's vendor or in the clocks they offer.
    private mutating func readHypervisor() -> String? {
        if case .text(let name) = files.read("/sys/hypervisor/type") {
            let name = printable(trimmed(name), maximumLength: 20)
            if !name.isEmpty { return name }
        }
        // The flags of the first CPU stand in the first 4 KiB.
        guard case .text(let cpuinfo) = files.readPrefix("/proc/cpuinfo", byteCount: 8_192),
            let flags = cpuinfo.split(separator: "\n").first(where: { $0.hasPrefix("flags") }),
            flags.split(separator: " ").contains("hypervisor")
        else { return nil }
        if case .text(let vendor) = files.read("/sys/class/dmi/id/sys_vendor") {
            let name = printable(trimmed(vendor), maximumLength: 40)
            if !name.isEmpty { return name }
        }
        // Without firmware tables (Firecracker) the paravirtual clock gives it away.
        let clocks = text("/sys/devices/system/clocksource/clocksource0/available_clocksource") ?? ""
        return clocks.split(whereSeparator: \.isWhitespace).contains("kvm-clock") ? "kvm" : "unnamed"
    }
}

// What every subject reads with: a file's text, number or set, with a note when it is not one.
extension TopologyReader {
    /// A file's text; nil without a note when it is missing, nil with a note when it can't be read.
    mutating func text(_ path: String, limitBytes: Int = SystemFiles.defaultLimitBytes) -> String? {
        switch files.read(path, limitBytes: limitBytes) {
        case .text(let text):
            return text
        case .missing:
            return nil
        case .unreadable:
            notes.add(path, "can't be read; ignored")
        case .tooLong(let limitBytes):
            notes.add(path, "longer than \(byteText(limitBytes)); ignored")
        }
        return nil
    }

    /// A file that holds one CPU list; nil when missing or malformed (noted).
    mutating func list(_ path: String) -> CPUSet? {
        text(path).flatMap { parseList($0, path) }
    }

    /// A file that holds one whole number; nil when missing or malformed (noted).
    mutating func integer(_ path: String) -> Int? {
        guard let text = text(path) else { return nil }
        if let value = Int(trimmed(text)) { return value }
        notes.add(path, "not a number: '\(printable(trimmed(text), maximumLength: 24))'; ignored")
        return nil
    }

    mutating func parseList(_ text: String, _ path: String) -> CPUSet? {
        do throws(CPUSetError) {
            return try CPUSet(parsing: trimmed(text))
        } catch {
            notes.add(path, "\(error); ignored")
            return nil
        }
    }

    mutating func parseMask(_ text: String, _ path: String) -> CPUSet? {
        do throws(CPUSetError) {
            return try CPUSet(parsingMask: trimmed(text))
        } catch {
            notes.add(path, "\(error); ignored")
            return nil
        }
    }
}

/// A text without the blanks and newlines around it.
func trimmed(_ text: some StringProtocol) -> String {
    guard let first = text.firstIndex(where: { !$0.isWhitespace }),
        let last = text.lastIndex(where: { !$0.isWhitespace })
    else { return "" }
    return String(text[first...last])
}
