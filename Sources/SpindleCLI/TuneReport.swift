// SPDX-License-Identifier: Apache-2.0

import Spindle
import SpindleLoad
import SpindleTopology

/// What `spindle tune` prints: flags and environment to paste, each with its reason.
struct TuneReport {
    private let results: [(stage: TuneStage, points: [TunePoint], advice: TuneAdvice)]
    private let leftOut: [(option: String, reason: String)]
    private let sharesCores: Bool
    private let configuration: EngineConfiguration
    private let target: TuneTarget
    private let wasEndedEarly: Bool

    init(_ run: TuneRun) {
        configuration = run.configuration
        results = run.results
        leftOut = run.leftOut
        sharesCores = run.sharesCores
        target = run.target
        wasEndedEarly = run.wasEndedEarly
    }

    static let head = "  value        messages/s   ns CPU/message    p50 µs    p99 µs"

    /// A stage's question and what was measured so far.
    static func table(_ stage: TuneStage, _ points: [TunePoint]) -> [String] {
        [stage.question, head] + points.map { line(stage, $0) }
    }

    /// A line of the table.
    private static func line(_ stage: TuneStage, _ point: TunePoint) -> String {
        func right(_ text: String, _ width: Int) -> String {
            String(repeating: " ", count: max(0, width - text.count)) + text
        }
        guard !point.rates.isEmpty else { return "  " + point.value }
        let value = "  " + point.value + String(repeating: " ", count: max(0, 11 - point.value.count))
        return value + right("\(Int(point.rates.median))", 12) + right("\(Int(point.cpu.median))", 17)
            + right("\(Int(point.p50.median / 1000))", 10) + right("\(Int(point.p99.median / 1000))", 10)
    }

    /// Options that differ from what an engine does by itself: those that were given, and those that were found.
    private var chosen: [(option: EngineOption, value: String)] {
        EngineOption.all.compactMap { option in
            let value = option.value(in: configuration)
            return value == option.value(in: EngineConfiguration()) ? nil : (option, value)
        }
    }

    private var flags: String { chosen.map { "--\($0.option.name) \($0.value)" }.joined(separator: " ") }

    var text: String {
        var lines = ["", "why"]
        for result in results {
            lines.append("  --\(result.advice.option) \(result.advice.value): \(result.advice.reason)")
        }
        lines += ["", "not tried"] + leftOut.map { "  --\($0.option): \($0.reason)" }
        if sharesCores {
            lines.append("\nThis machine is too small to say much: server and load generator share a core.")
        }
        if results.isEmpty, !wasEndedEarly { lines.append("\nThere was nothing to try: every option was given.") }
        if !results.isEmpty, results.allSatisfy({ $0.advice.verdict == .tooNoisy }) {
            lines.append("\nThis machine is too noisy to say anything: try --rounds 15, or a quieter one.")
        }
        if wasEndedEarly { lines.append("\nEnded early: what is not above was not tried to the end.") }
        switch target {
        case .builtIn: lines += recommendation
        case .command(let command):
            if let cores = results.first?.advice.value {
                lines += ["", "run with", "  {cores} = \(cores) in: \(command.text)"]
            }
        case .running: break
        }
        return lines.joined(separator: "\n")
    }

    private var recommendation: [String] {
        var lines = ["\nrun with" + (chosen.isEmpty ? " the defaults: nothing is better here" : "")]
        if !chosen.isEmpty {
            lines.append("  \(flags)")
            lines.append("  " + chosen.map { "\($0.option.environmentName)=\($0.value)" }.joined(separator: " "))
        }
        return lines
    }

    var json: JSONValue {
        .object([
            .init("flags", .string(flags)), .init("sharesCores", .bool(sharesCores)),
            .init("wasEndedEarly", .bool(wasEndedEarly)),
            .init(
                "environment",
                .object(chosen.map { .init($0.option.environmentName, .string($0.value)) })
            ),
            .init("stages", .array(results.map(json(of:)))),
            .init(
                "notTried",
                .array(
                    leftOut.map { .object([.init("option", .string($0.option)), .init("reason", .string($0.reason))]) }
                )
            ),
        ])
    }

    private func json(of result: (stage: TuneStage, points: [TunePoint], advice: TuneAdvice)) -> JSONValue {
        let points = result.points.map { point in
            JSONValue.object([
                .init("value", .string(point.value)), .init("messagesPerSecond", .number(point.rates.median)),
                .init("serverCPUNanosecondsPerMessage", .number(point.cpu.median)),
                .init("p50Nanoseconds", .number(point.p50.median)), .init("p99Nanoseconds", .number(point.p99.median)),
            ])
        }
        return .object([
            .init("option", .string(result.advice.option)), .init("value", .string(result.advice.value)),
            .init("verdict", .string(result.advice.verdict.rawValue)), .init("reason", .string(result.advice.reason)),
            .init("noise", .number(result.advice.noise)), .init("points", .array(points)),
        ])
    }

    /// The same as a page: throughput and CPU against cores, and the measure of every other option.
    func page(_ facts: MachineFacts, command: String) -> ReportPage {
        ReportPage(
            title: "spindle tune: " + (chosen.isEmpty ? "the defaults" : flags),
            lines: results.map { "--\($0.advice.option) \($0.advice.value): \($0.advice.reason)" },
            warnings: sharesCores ? ["server and load generator share a core"] : [],
            figures: [("flags", "run with", flags.isEmpty ? "the defaults" : flags)],
            plots: results.flatMap(plots(of:)),
            facts: facts.all,
            command: command,
            json: json
        )
    }

    private func plots(of result: (stage: TuneStage, points: [TunePoint], advice: TuneAdvice)) -> [Plot] {
        func bars(_ title: String, _ unit: String, _ value: (TunePoint) -> Double) -> Plot {
            Plot(
                title: title,
                x: PlotAxis("--\(result.stage.option)", .linear, of: [Double(result.points.count)]),
                y: PlotAxis(unit, .linear, of: result.points.map(value)),
                bars: result.points.map { ($0.value, value($0)) }
            )
        }
        if result.stage.measure == .latency {
            return [bars(result.stage.question, "µs, median") { ($0.p50.median / 100).rounded() / 10 }]
        }
        guard result.stage.option == "cores", result.points.count > 1 else {
            return [bars(result.stage.question, "messages/s") { $0.rates.median }]
        }
        func line(_ name: String, _ value: (TunePoint) -> Double) -> Plot.Line {
            Plot.Line(name: name, points: result.points.map { (Double($0.value) ?? 0, value($0)) })
        }
        let rate = line("messages/s") { $0.rates.median }
        let efficiency = line("messages per CPU second") { $0.cpu.median > 0 ? 1e9 / $0.cpu.median : 0 }
        let cores = PlotAxis("cores", .linear, of: rate.points.map(\.x))
        // None where no number was chosen.
        let knee = Double(result.advice.value).map { ($0, "enough: \(result.advice.value)") }
        return [
            Plot(
                title: "Throughput against cores",
                x: cores,
                y: PlotAxis("messages/s", .linear, of: rate.points.map(\.y)),
                lines: [rate],
                mark: knee
            ),
            Plot(
                title: "Efficiency against cores",
                x: cores,
                y: PlotAxis("messages per CPU second", .linear, of: efficiency.points.map(\.y)),
                lines: [efficiency],
                mark: knee
            ),
        ]
    }
}
