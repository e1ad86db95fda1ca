// SPDX-License-Identifier: Apache-2.0

import SpindleCore
import SpindleLoad
import SpindleSystem
import SpindleTopology

/// Reads what a process has used so far. proc(5).
struct ProcessUsage: Sendable {
    let process: Int
    let files: SystemFiles
    /// Counts the system calls of its threads; nil when nobody asked.
    let calls: SystemCallCounter?

    init(process: Int, files: SystemFiles = SystemFiles(), calls: SystemCallCounter? = nil) {
        self.process = process
        self.files = files
        self.calls = calls
    }

    /// The same, with its system calls from now on. They cost a little more then, so the CPU time is a little higher.
    func countingCalls() throws -> ProcessUsage {
        guard let text = SystemCallCounter.tracepointFiles.lazy.compactMap(text).first,
            let tracepoint = UInt64(text.prefix { $0 != "\n" })
        else { throw CallsFailure.noTracepoint }
        do throws(Errno) {
            var before = threads
            for _ in 0..<10 {
                let calls = try SystemCallCounter(threads: before.compactMap { Int32($0) }, tracepoint: tracepoint)
                let after = threads
                // One that came meanwhile is counted or not, depending on who started it: again, then.
                if after == before { return ProcessUsage(process: process, files: files, calls: calls) }
                before = after
            }
        } catch { throw CallsFailure.refused(error) }
        throw CallsFailure.restless
    }

    private var threads: [String] { files.names(in: "/proc/\(process)/task") }

    /// Why system calls can't be counted.
    enum CallsFailure: Error, Equatable, CustomStringConvertible {
        case noTracepoint
        case refused(Errno)
        case restless

        var description: String {
            switch self {
            case .noTracepoint:
                "--count-calls: the kernel's tracepoints can't be read: as root, "
                    + "mount -t tracefs none /sys/kernel/tracing"
            case .refused(.noSuchProcess): "--count-calls: the server's process is gone"
            case .refused(let errno) where errno == .accessDenied || errno == .notPermitted:
                "--count-calls: the kernel refused (\(errno)): run as root, or with CAP_PERFMON, "
                    + "or set kernel.perf_event_paranoid to -1"
            case .refused(let errno): "--count-calls: the server's threads can't be counted: \(errno)"
            case .restless: "--count-calls: the server starts threads all the time, so not all can be counted"
            }
        }
    }

    /// What all threads have used together; nil when the process is not there.
    func read() -> ServerUsage? {
        let threads = threads
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
        // With those of threads that have ended, though to a hundredth of a second only.
        usage.cpu = max(usage.cpu, ticks(of: text("/proc/\(process)/stat") ?? ""))
        usage.systemCalls = calls?.read()
        usage.residentBytes = text("/proc/\(process)/status").flatMap { number("VmRSS", in: $0) }.map { $0 << 10 }
        return usage
    }

    /// The CPUs that its main thread may run on; nil when they are not known.
    var allowedCPUs: CPUSet? {
        guard let status = text("/proc/\(process)/status") else { return nil }
        for line in status.split(separator: "\n") where line.hasPrefix("Cpus_allowed_list:") {
            let list = line.dropFirst("Cpus_allowed_list:".count).drop { $0 == "\t" || $0 == " " }
            return try? CPUSet(parsing: String(list))
        }
        return nil
    }

    /// User and kernel time: the 14th and 15th field, counted behind the name, which may hold anything.
    private func ticks(of stat: String) -> Duration {
        guard let name = stat.lastIndex(of: ")") else { return .zero }
        let fields = stat[stat.index(after: name)...].split(separator: " ")
        guard fields.count > 12, let user = Int64(fields[11]), let kernel = Int64(fields[12]) else { return .zero }
        return .milliseconds((user + kernel) * 10)
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
