// SPDX-License-Identifier: Apache-2.0

import Histogram
import Spindle
import SpindleLoad
import SpindleTopology

/// What `spindle bench` prints.
struct BenchReport {
    let plan: LoadPlan
    let kind: BenchKind
    let result: LoadResult
    /// What the machine is too small for.
    let placementWarnings: [String]
    let server: EngineSnapshot?
    let isLocal: Bool

    /// What is going to run, and where.
    static func header(
        _ plan: LoadPlan,
        _ kind: BenchKind,
        _ sides: BenchSides,
        _ command: ServerCommandLine?,
        _ parts: Int
    ) -> String {
        let generator = sides.generator.reactors
        let cpus = CPUSet(generator.flatMap { Array($0.allowedCPUs) })
        let processes = parts > 1 ? "\(parts) processes, for want of descriptors, each of " : ""
        var lines = ["generator  \(processes)\(generator.count) × reactor on CPU \(cpus)"]
        if let command {
            lines.insert("server     on CPU \(sides.serverCPUs): \(command.text)", at: 0)
        } else if sides.server != nil {
            lines.insert(
                "server     \(sides.serverReactorCount) × reactor on CPU \(sides.serverCPUs), \(plan.address)",
                at: 0
            )
        } else {
            lines.insert("server     \(plan.address), not ours", at: 0)
        }
        lines += work(plan, kind).map { "work       \($0)" }
        lines += sides.warnings.map { "warning    \($0)" }
        return lines.joined(separator: "\n")
    }

    /// What is done, in a line.
    static func work(_ plan: LoadPlan, _ kind: BenchKind) -> [String] {
        let what =
            "\(plan.connections) \(kind.isUDP ? "UDP sockets" : "connections") × \(SizesText.text(plan.sizes)) B "
            + "× depth \(plan.depth)"
        let time = "\(TimeText.text(plan.duration)) after \(TimeText.text(plan.warmup))"
        return ["\(kind.name), \(what), \(loop(plan))\(churn(plan)), \(time)"]
    }

    private static func loop(_ plan: LoadPlan) -> String {
        switch plan.pace {
        case .closed: "closed loop"
        case .open(let rate): "open loop of \(RateText.text(rate))/s"
        }
    }

    /// What comes and goes beside it.
    private static func churn(_ plan: LoadPlan) -> String {
        plan.churn.map { ", beside \(RateText.text($0)) connections/s that come and go" } ?? ""
    }

    static let percentiles: [(name: String, value: Double)] = [
        ("p50", 50), ("p90", 90), ("p99", 99), ("p99.9", 99.9), ("p99.99", 99.99), ("max", 100),
    ]

    private var megabytesPerSecond: Double { result.messagesPerSecond * plan.sizes.mean / 1e6 }

    var cpuPerMessage: Double? {
        guard let usage = result.serverUsage, result.messages > 0 else { return nil }
        return usage.cpu / .nanoseconds(1) / Double(result.messages)
    }

    var text: String {
        var lines = [
            "",
            "\(Int(result.messagesPerSecond)) \(kind.unit)/s, \(fixed(megabytesPerSecond, 1)) MB/s each way, "
                + "every byte verified",
        ]
        if let cpuPerMessage { lines.append("\(Int(cpuPerMessage)) ns of the server's CPU for each") }
        let latencies = BenchReport.percentiles.map { name, value in
            "\(name) \(microseconds(value))"
        }
        let from = plan.pace.isOpen ? "µs, from when a message was due" : "µs"
        lines.append("latency    " + latencies.joined(separator: "   ") + "   (\(from))")
        if let churn = result.churn, let rate = result.churnPerSecond {
            let (p50, p99) = (churn.latency.valueAtPercentile(50), churn.latency.valueAtPercentile(99))
            lines.append(
                "churn      \(Int(rate)) connections/s, p50 \(fixed(Double(p50) / 1000, 1))   p99 "
                    + "\(fixed(Double(p99) / 1000, 1))   (µs, from when a connection was due)"
            )
        }
        if let bytes = result.bytesPerConnection { lines.append("memory     \(Int(bytes)) B resident per connection") }
        if !result.serverCalls.isEmpty { lines.append("calls      \(calls) per \(kind.unit.dropLast())") }
        if let busy = result.generatorBusy.max() {
            lines.append("generator  its busiest core was \(percent(busy)) busy")
        }
        if !isLocal, let usage = result.serverUsage { lines.append("server     " + text(of: usage)) }
        if isLocal { lines += cores }
        lines += warnings.map { "warning    \($0)" }
        return lines.joined(separator: "\n")
    }

    /// The system calls of the server for each message.
    private var calls: String {
        result.serverCalls.filter { $0.count > 0 }.map { name, count in
            "\(fixed(Double(count) / Double(max(result.messages, 1)), 3)) \(name)"
        }.joined(separator: ", ")
    }

    /// What the figures don't say by themselves.
    var warnings: [String] {
        var found: [String] = []
        if result.wasEndedEarly { found.append("ended early, after \(fixed(result.elapsed / .seconds(1), 1)) s") }
        if case .open(let rate) = plan.pace,
            !RateSweep(rate...rate, p99Limit: .seconds(1 << 40)).keepsUp(.init(due: rate, result))
        {
            found.append(
                "the server did not keep up: \(RateText.text(rate))/s were due, \(Int(result.messagesPerSecond)) came "
                    + "back, \(result.unsent) were never sent"
            )
        }
        if let lost = result.lost, lost > 0 {
            let overrun = server?[.datagramsOverrun] ?? 0
            found.append(
                "\(lost) datagrams did not come back within 500 ms; the percentiles leave them out"
                    + (overrun == 0 ? "" : ". Since its start the server's kernel had no room for \(overrun)")
            )
        }
        if let churn = result.churn, let rate = plan.churn, churn.unopened > 0 {
            found.append(
                "connections that come and go: \(RateText.text(rate))/s were due, \(churn.unopened) were never opened, "
                    + "because those before them had not ended"
            )
        }
        if kind.trickle != nil, result.bytesPerConnection == nil {
            found.append("the server's memory is not known: say which process it is (--server-pid)")
        }
        let (p99, longest) = (result.latency.valueAtPercentile(99), result.latency.max)
        if !plan.pace.isOpen, longest > 10 * p99, longest > 10_000_000 {
            found.append(
                "the server stalled for \(longest / 1_000_000) ms; a closed loop sends nothing meanwhile, so the "
                    + "percentiles leave out who would have waited: use --rate"
            )
        }
        if let busiest = result.generatorLimit, let busy = serverBusy, busy < 0.9 {
            found.append(
                "the generator was \(percent(busiest)) busy and the server \(percent(busy)): "
                    + "the generator was the limit"
            )
        }
        return found
    }

    private func text(of usage: ServerUsage) -> String {
        var parts = ["\(percent(usage.cpu / result.elapsed)) of a CPU"]
        if let calls = usage.systemCalls {
            parts.append("\(fixed(Double(calls) / Double(max(result.messages, 1)), 3)) system calls per message")
        }
        if let bytes = usage.residentBytes { parts.append("\(ByteSize.text((bytes >> 20) << 20)) resident") }
        if let voluntary = usage.voluntarySwitches, let involuntary = usage.involuntarySwitches {
            parts.append("\(voluntary) context switches by itself and \(involuntary) by others")
        }
        return parts.joined(separator: ", ")
    }

    /// How busy the server's busiest core was.
    private var serverBusy: Double? {
        isLocal
            ? result.serverCPU.map { $0 / result.elapsed }.max() : result.serverUsage.map { $0.cpu / result.elapsed }
    }

    /// A table per core, and how even it is.
    private var cores: [String] {
        guard let server else { return [] }
        var lines = ["core   CPU   connections   messages/s    busy   longest turn"]
        for (reactor, snapshot) in server.reactors.enumerated() where reactor < result.serverBytes.count {
            // By bytes: with small messages one receive may bring several.
            let share = Double(result.serverBytes[reactor]) / Double(max(result.serverBytes.reduce(0, +), 1))
            let rate = share * result.messagesPerSecond
            let columns = [
                pad("\(reactor)", 4), pad(snapshot.cpu.map(String.init) ?? "–", 6),
                pad(kind.isUDP ? "–" : "\(result.serverConnections[reactor])", 14), pad("\(Int(rate))", 13),
                pad(percent(result.serverCPU[reactor] / result.elapsed), 8),
                pad("\(snapshot.turns.longestTurnNanoseconds / 1000) µs", 15),
            ]
            lines.append(columns.joined())
        }
        guard !kind.isUDP else { return lines }
        let counts = result.serverConnections
        let mean = Double(counts.reduce(0, +)) / Double(max(counts.count, 1))
        let idle = counts.filter { $0 == 0 }.count
        lines.append(
            "connections: max/mean \(fixed(Double(counts.max() ?? 0) / max(mean, 1e-9), 2)), idle reactors \(idle)"
        )
        return lines
    }

    var json: JSONValue {
        let reactors = result.serverBytes.indices.map { reactor in
            JSONValue.object([
                .init("index", .integer(reactor)), .init("cpu", .integer(server?.reactors[reactor].cpu)),
                .init("connections", .integer(result.serverConnections[reactor])),
                .init("bytesReceived", .integer(result.serverBytes[reactor])),
                .init("cpuNanoseconds", .integer(Int(result.serverCPU[reactor] / .nanoseconds(1)))),
                .init(
                    "longestTurnNanoseconds",
                    .integer(Int(server?.reactors[reactor].turns.longestTurnNanoseconds ?? 0))
                ),
            ])
        }
        return .object([
            .init("work", .string(kind.name)), .init("loop", .string(plan.pace.isOpen ? "open" : "closed")),
            .init("messagesPerSecondDue", .number(due)), .init("unsent", .integer(result.unsent)),
            .init("lost", .integer(result.lost)),
            .init("address", .string(plan.address.description)),
            .init("connections", .integer(plan.connections)), .init("messageBytes", .number(plan.sizes.mean)),
            .init("depth", .integer(plan.depth)), .init("messages", .integer(result.messages)),
            .init("elapsedSeconds", .number(result.elapsed / .seconds(1))),
            .init("messagesPerSecond", .number(result.messagesPerSecond)),
            .init("bytesPerSecond", .number(result.messagesPerSecond * plan.sizes.mean)),
            .init("serverCPUNanosecondsPerMessage", .number(cpuPerMessage)),
            .init("latencyNanoseconds", .object(percentiles(of: result.latency))),
            .init("generatorBusyShare", .array(result.generatorBusy.map { .number($0) })),
            .init("serverReactors", .array(reactors)),
            .init("serverUsage", usage),
            .init(
                "serverCallsPerMessage",
                .object(
                    result.serverCalls.map { name, count in
                        .init(name, .number(Double(count) / Double(max(result.messages, 1))))
                    }
                )
            ),
            .init("residentBytesPerConnection", .number(result.bytesPerConnection)),
            .init("churn", churn),
            .init("intervals", .array(result.intervals.map(json(of:)))),
            .init("warnings", .strings(placementWarnings + warnings)),
        ])
    }

    /// Messages a second that were due; null in a closed loop.
    private var due: Double? {
        guard case .open(let rate) = plan.pace else { return nil }
        return rate
    }

    private var churn: JSONValue {
        guard let churn = result.churn else { return .null }
        return .object([
            .init("connectionsPerSecondDue", .number(plan.churn)),
            .init("connectionsPerSecond", .number(result.churnPerSecond)),
            .init("connections", .integer(churn.connections)), .init("unopened", .integer(churn.unopened)),
            .init("latencyNanoseconds", .object(percentiles(of: churn.latency))),
        ])
    }

    private func percentiles(of latency: Histogram<UInt64>) -> [JSONValue.Member] {
        BenchReport.percentiles.map { name, value in
            .init(name, .integer(Int(latency.valueAtPercentile(value))))
        } + [.init("mean", .number(latency.mean))]
    }

    private var usage: JSONValue {
        guard let usage = result.serverUsage else { return .null }
        return .object([
            .init("cpuNanoseconds", .integer(Int(usage.cpu / .nanoseconds(1)))),
            .init("residentBytes", .integer(usage.residentBytes)),
            .init("voluntaryContextSwitches", .integer(usage.voluntarySwitches)),
            .init("involuntaryContextSwitches", .integer(usage.involuntarySwitches)),
            .init("systemCalls", .integer(usage.systemCalls)),
        ])
    }

    private func json(of interval: LoadInterval) -> JSONValue {
        .object([
            .init("endSeconds", .number(interval.end / .seconds(1))),
            .init("messagesPerSecond", .number(interval.messagesPerSecond)),
            .init("p50Nanoseconds", .integer(Int(interval.p50))),
            .init("p99Nanoseconds", .integer(Int(interval.p99))),
            .init("maxNanoseconds", .integer(Int(interval.longest))),
        ])
    }

    private func microseconds(_ percentile: Double) -> String {
        fixed(Double(result.latency.valueAtPercentile(percentile)) / 1000, 1)
    }

    private func percent(_ share: Double) -> String { "\(Int((share * 100).rounded())) %" }

    private func pad(_ text: String, _ width: Int) -> String {
        String(repeating: " ", count: max(0, width - text.count)) + text
    }

    /// A number with so many digits behind the point.
    func fixed(_ value: Double, _ digits: Int) -> String {
        let scale = (0..<digits).reduce(1.0) { scale, _ in scale * 10 }
        let scaled = Int((value * scale).rounded())
        guard digits > 0 else { return "\(scaled)" }
        let fraction = String(scaled % Int(scale))
        return "\(scaled / Int(scale)).\(String(repeating: "0", count: digits - fraction.count))\(fraction)"
    }
}
