// SPDX-License-Identifier: Apache-2.0

import SpindleLoad
import SpindleTopology

/// Reads what a process has used so far. proc(5).
struct ProcessUsage: Sendable {
    let process: Int
    let files: SystemFiles

    init(process: Int, files: SystemFiles = SystemFiles()) {
        self.process = process
        self.files = files
    }

    /// What all threads have used together; nil when the process is not there. Threads that have ended since are
    /// missing.
    func read() -> ServerUsage? {
        let threads = files.names(in: "/proc/\(process)/task")
        guard !threads.isEmpty else { return nil }
        var usage = ServerUsage(cpu: .zero, voluntarySwitches: 0, involuntarySwitches: 0)
        for thread in threads {
            let folder = "/proc/\(process)/task/\(thread)"
            // Its first number: nanoseconds on a CPU.
            let time = text("\(folder)/schedstat")?.split(separator: " ").first.flatMap { Int64($0) }
            usage.cpu += .nanoseconds(time ?? 0)
            let status = text("\(folder)/status") ?? ""
            usage.voluntarySwitches? += number("voluntary_ctxt_switches", in: status) ?? 0
            usage.involuntarySwitches? += number("nonvoluntary_ctxt_switches", in: status) ?? 0
        }
        usage.residentBytes = text("/proc/\(process)/status").flatMap { number("VmRSS", in: $0) }.map { $0 << 10 }
        return usage
    }

    private func text(_ path: String) -> String? {
        guard case .text(let text) = files.read(path) else { return nil }
        return text
    }

    /// The number in a line `name:   123 kB`.
    private func number(_ name: String, in status: String) -> Int? {
        for line in status.split(separator: "\n") where line.hasPrefix("\(name):") {
            return line.dropFirst(name.count + 1).split(whereSeparator: \.isWhitespace).first.flatMap { Int($0) }
        }
        return nil
    }
}
