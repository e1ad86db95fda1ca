// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import SpindleTopology

/// What of a machine a figure depends on, for a report.
struct MachineFacts {
    /// Names and values, in the order in which they are shown.
    let all: [(name: String, value: String)]

    init(files: SystemFiles = SystemFiles()) {
        let machine = MachineTopology(reading: files)
        func text(_ path: String) -> String? {
            guard case .text(let text) = files.read(path) else { return nil }
            let line = text.split(separator: "\n").first.map(String.init)
            return line
        }
        var facts: [(String, String)] = []
        if case .text(let info) = files.readPrefix("/proc/cpuinfo", byteCount: 4096),
            let line = info.split(separator: "\n").first(where: { $0.hasPrefix("model name") }),
            let colon = line.firstIndex(of: ":")
        {
            facts.append(("CPU", String(line[line.index(after: colon)...].drop { $0 == " " })))
        }
        let cpus = machine.cpus.filter(\.isOnline).count
        facts.append(("CPUs", "\(cpus) online"))
        let nodes = machine.nodes.map { "node \($0.id): CPU \($0.cpus)" }.joined(separator: "; ")
        facts.append(("NUMA", nodes.isEmpty ? "not told" : nodes))
        if let version = text("/proc/version") {
            facts.append(("Kernel", version.split(separator: " ").prefix(3).joined(separator: " ")))
        }
        let folder = "/sys/devices/system/cpu"
        facts.append(("Governor", text("\(folder)/cpu0/cpufreq/scaling_governor") ?? "not told"))
        let open = files.names(in: "\(folder)/vulnerabilities").filter {
            text("\(folder)/vulnerabilities/\($0)")?.hasPrefix("Vulnerable") == true
        }
        let mitigated = files.names(in: "\(folder)/vulnerabilities").filter {
            text("\(folder)/vulnerabilities/\($0)")?.hasPrefix("Mitigation") == true
        }
        facts.append(("Mitigations", mitigated.isEmpty ? "none" : mitigated.joined(separator: ", ")))
        if !open.isEmpty { facts.append(("Vulnerable", open.joined(separator: ", "))) }
        facts.append(("Spindle", SpindleCommand.configuration.version))
        #if compiler(>=6.4)
            facts.append(("Compiler", "Swift 6.4 or later"))
        #else
            facts.append(("Compiler", "Swift 6.3"))
        #endif
        all = facts
    }
}
