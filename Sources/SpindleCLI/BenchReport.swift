// SPDX-License-Identifier: Apache-2.0

import Histogram
import Spindle
import SpindleLoad
import SpindleTopology

/// What `spindle bench echo` prints.
struct BenchReport {
    let plan: LoadPlan
    let result: LoadResult
    let split: BenchmarkPlacement
    let server: EngineSnapshot?
    let isLocal: Bool

    /// What is going to run, and where.
    static func header(_ plan: LoadPlan, server: Engine?, generator: Engine, split: BenchmarkPlacement) -> String {
        func cpus(_ placement: Placement) -> String {
            CPUSet(placement.reactors.flatMap { Array($0.allowedCPUs) }).description
        }
        var lines: [String] = []
        if let server {
            lines.append(
                "server     \(server.reactorCount) × reactor on CPU \(cpus(server.placement)), \(plan.address)"
            )
        } else {
            lines.append("server     \(plan.address), not ours")
        }
        lines.append("generator  \(generator.reactorCount) × reactor on CPU \(cpus(generator.placement))")
        let work = "\(plan.connections) connections × \(ByteSize.text(plan.messageBytes)) B × depth \(plan.depth)"
        lines.append(
            "work       \(work), closed loop, \(TimeText.text(plan.duration)) after \(TimeText.text(plan.warmup))"
        )
        lines += split.warnings.map { "warning    \($0)" }
        return lines.joined(separator: "\n")
    }

    private static let percentiles: [(name: String, value: Double)] = [
        ("p50", 50), ("p90", 90), ("p99", 99), ("p99.9", 99.9), ("max", 100),
    ]

    private var megabytesPerSecond: Double { result.messagesPerSecond * Double(plan.messageBytes) / 1e6 }

    private var cpuPerMessage: Double? {
        guard isLocal, result.messages > 0 else { return nil }
        let total = result.serverCPU.reduce(Duration.zero, +)
        return total / .nanoseconds(1) / Double(result.messages)
    }

    var text: String {
        var lines = [
            "",
            "\(Int(result.messagesPerSecond)) messages/s, \(fixed(megabytesPerSecond, 1)) MB/s each way, "
                + "every byte verified",
        ]
        if let cpuPerMessage { lines.append("\(Int(cpuPerMessage)) ns of the server's CPU per message") }
        let latencies = BenchReport.percentiles.map { name, value in
            "\(name) \(microseconds(value))"
        }
        lines.append("latency    " + latencies.joined(separator: "   ") + "   (µs)")
        if isLocal { lines += cores }
        let busiest = result.generatorBusy.max() ?? 0
        if busiest > 0.95, let busy = serverBusy, busy < 0.9 {
            lines.append(
                "warning    the generator was \(percent(busiest)) busy and the server \(percent(busy)): "
                    + "the generator was the limit"
            )
        }
        return lines.joined(separator: "\n")
    }

    /// How busy the server's busiest core was.
    private var serverBusy: Double? { result.serverCPU.map { $0 / result.elapsed }.max() }

    /// A table per core, and how even it is.
    private var cores: [String] {
        guard let server else { return [] }
        var lines = ["core   CPU   connections   messages/s    busy   longest turn"]
        for (reactor, snapshot) in server.reactors.enumerated() where reactor < result.serverMessages.count {
            let rate =
                Double(result.serverMessages[reactor]) / Double(plan.messageBytes) / (result.elapsed / .seconds(1))
            let columns = [
                pad("\(reactor)", 4), pad(snapshot.cpu.map(String.init) ?? "–", 6),
                pad("\(result.serverConnections[reactor])", 14), pad("\(Int(rate))", 13),
                pad(percent(result.serverCPU[reactor] / result.elapsed), 8),
                pad("\(snapshot.turns.longestTurnNanoseconds / 1000) µs", 15),
            ]
            lines.append(columns.joined())
        }
        let counts = result.serverConnections
        let mean = Double(counts.reduce(0, +)) / Double(max(counts.count, 1))
        let idle = counts.filter { $0 == 0 }.count
        lines.append(
            "connections: max/mean \(fixed(Double(counts.max() ?? 0) / max(mean, 1e-9), 2)), idle reactors \(idle)"
        )
        return lines
    }

    var json: JSONValue {
        var latency: [JSONValue.Member] = BenchReport.percentiles.map { name, value in
            .init(name, .integer(Int(result.latency.valueAtPercentile(value))))
        }
        latency.append(.init("mean", .number(result.latency.mean)))
        let reactors = result.serverMessages.indices.map { reactor in
            JSONValue.object([
                .init("index", .integer(reactor)), .init("cpu", .integer(server?.reactors[reactor].cpu)),
                .init("connections", .integer(result.serverConnections[reactor])),
                .init("bytesReceived", .integer(result.serverMessages[reactor])),
                .init("cpuNanoseconds", .integer(Int(result.serverCPU[reactor] / .nanoseconds(1)))),
                .init(
                    "longestTurnNanoseconds",
                    .integer(Int(server?.reactors[reactor].turns.longestTurnNanoseconds ?? 0))
                ),
            ])
        }
        return .object([
            .init("work", "echo"), .init("loop", "closed"), .init("address", .string(plan.address.description)),
            .init("connections", .integer(plan.connections)), .init("messageBytes", .integer(plan.messageBytes)),
            .init("depth", .integer(plan.depth)), .init("messages", .integer(result.messages)),
            .init("elapsedSeconds", .number(result.elapsed / .seconds(1))),
            .init("messagesPerSecond", .number(result.messagesPerSecond)),
            .init("bytesPerSecond", .number(result.messagesPerSecond * Double(plan.messageBytes))),
            .init("serverCPUNanosecondsPerMessage", .number(cpuPerMessage)),
            .init("latencyNanoseconds", .object(latency)),
            .init("generatorBusyShare", .array(result.generatorBusy.map { .number($0) })),
            .init("serverReactors", .array(reactors)),
            .init("warnings", .strings(split.warnings)),
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
    private func fixed(_ value: Double, _ digits: Int) -> String {
        let scale = (0..<digits).reduce(1.0) { scale, _ in scale * 10 }
        let scaled = Int((value * scale).rounded())
        guard digits > 0 else { return "\(scaled)" }
        let fraction = String(scaled % Int(scale))
        return "\(scaled / Int(scale)).\(String(repeating: "0", count: digits - fraction.count))\(fraction)"
    }
}
