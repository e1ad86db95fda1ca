// SPDX-License-Identifier: Apache-2.0

public import SpindleCore
public import SpindleReactor
internal import SpindleSystem
internal import SpindleTopology

/// Every counter of every core at one moment; what `--stats`, the benchmark and metrics read, and nothing else.
///
/// Each number is exact; numbers of one reactor may be a few events apart from each other.
public struct EngineSnapshot: Sendable {
    /// One per reactor, by index.
    public let reactors: [ReactorSnapshot]
    /// How often the kernel froze the process for its CPU quota (cpu.stat's nr_throttled), or nil without a quota.
    public let throttleCount: Int?

    /// The sum of a counter over all reactors (for those that are a most or longest: the maximum).
    public subscript(counter: Counter) -> UInt64 {
        let values = reactors.map { $0[counter] }
        return counter.isMaximum ? values.max() ?? 0 : values.reduce(0, &+)
    }

    /// Errors of the system by number, over all reactors.
    public var errors: [Errno: UInt64] {
        reactors.reduce(into: [:]) { $0.merge($1.errors, uniquingKeysWith: +) }
    }
}

/// Every counter of one reactor at one moment.
public struct ReactorSnapshot: Sendable {
    /// The reactor.
    public let index: Int
    /// The CPU it is bound to, or nil when it floats.
    public let cpu: Int?
    private let counters: [UInt64]
    /// Errors of the system by number.
    public let errors: [Errno: UInt64]
    /// How turns and their phases have lasted.
    public let turns: TurnStatistics
    /// How long the thread was ready to run while its CPU ran something else: the kernel's own threads, other
    /// programs. What makes turns long though no callback is. Nil when the kernel does not tell, or the reactor has
    /// stopped. /proc/PID/schedstat, sched-stats.rst.
    public let runDelay: Duration?

    init(handle: ReactorHandle, cpu: Int?) {
        index = handle.index
        self.cpu = cpu
        counters = Counter.allCases.map { handle.counters[$0] }
        errors = handle.counters.errors
        turns = handle.recorder.statistics
        runDelay = handle.threadID.flatMap { ReactorSnapshot.runDelay(ofThread: $0) }
    }

    /// The counter's value.
    public subscript(counter: Counter) -> UInt64 { counters[counter.rawValue] }

    /// The share of time that was not spent waiting, 0...1.
    public var busyShare: Double { turns.busyShare }

    /// The second number of the file: time on the CPU, time waiting for it, time slices.
    static func runDelay(ofThread id: Int32) -> Duration? {
        guard case .text(let text) = SystemFiles().read("/proc/self/task/\(id)/schedstat") else { return nil }
        let numbers = text.split(whereSeparator: \.isWhitespace)
        return numbers.count == 3 ? Int64(numbers[1]).map(Duration.nanoseconds) : nil
    }
}

extension Engine {
    /// The counters now. From any thread; costs the reactors nothing, the caller a small file per reactor.
    public func snapshot() -> EngineSnapshot {
        EngineSnapshot(
            reactors: reactors.map { ReactorSnapshot(handle: $0, cpu: placement.reactors[$0.index].cpu) },
            throttleCount: machine.cgroup.throttleCount()
        )
    }

    /// The CPU time that each reactor's thread has used, by index; empty when the engine does not run.
    public func cpuTimes() async -> [Duration] {
        let times = Guarded([Int: Duration]())
        await onEveryReactor { reactor in
            let time = Duration.nanoseconds(Int64(clamping: SystemClock.threadCPUNanoseconds()))
            times.withLock { $0[reactor.index] = time }
        }
        return times.withLock { times in times.keys.sorted().compactMap { times[$0] } }
    }

    /// Writes the last turns of every reactor to the log.
    public func dumpFlightRecorders() {
        for handle in reactors {
            for line in handle.recorder.recentTurns(limit: 1000) {
                log.write(LogRecord(level: .info, message: line.description, reactor: handle.index))
            }
        }
    }
}
