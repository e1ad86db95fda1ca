// SPDX-License-Identifier: Apache-2.0

import Glibc
import Histogram
import SpindleLoad
import SpindleTopology

extension BenchReport {
    /// The same as a page with plots.
    func page(_ facts: MachineFacts, command: String) -> ReportPage {
        ReportPage(
            title: "spindle bench \(kind.name): \(Int(result.messagesPerSecond)) \(kind.unit)/s",
            lines: BenchReport.work(plan, kind),
            warnings: placementWarnings + warnings,
            figures: figures,
            plots: [latencyPlot, ratePlot] + coresPlots,
            facts: facts.all,
            command: command,
            json: json
        )
    }

    private var figures: [(name: String, label: String, value: String)] {
        var rows = [
            ("messagesPerSecond", "\(kind.unit) a second", "\(Int(result.messagesPerSecond))"),
            ("messages", kind.unit, "\(result.messages)"),
        ]
        if cpuPerMessage != nil {
            rows.append(("serverCPUNanosecondsPerMessage", "server CPU for each", "\(Int(cpuPerMessage ?? 0)) ns"))
        }
        rows += BenchReport.percentiles.map { name, _ in
            ("latencyNanoseconds/\(name)", "latency \(name)", "\(microseconds(at: name)) µs")
        }
        if let bytes = result.bytesPerConnection {
            rows.append(("residentBytesPerConnection", "resident memory per connection", "\(Int(bytes)) B"))
        }
        if let rate = result.churnPerSecond {
            rows.append(("churn/connectionsPerSecond", "connections that came and went a second", "\(Int(rate))"))
        }
        if let lost = result.lost { rows.append(("lost", "datagrams that did not come back", "\(lost)")) }
        if plan.pace.isOpen { rows.append(("unsent", "due and never sent", "\(result.unsent)")) }
        return rows
    }

    private func microseconds(at name: String) -> String {
        guard case .integer(let nanoseconds)? = json.member(at: "latencyNanoseconds/\(name)") else { return "–" }
        return fixed(Double(nanoseconds) / 1000, 1)
    }

    /// Latency against how rare it is: each step to the right is ten times rarer.
    private var latencyPlot: Plot {
        let rarest = max(10, Double(result.latency.totalCount))
        let steps = Int(log10(rarest) * 10)
        let points = (0...steps).map { step in
            let rarity = pow(10, Double(step) / 10)
            let value = result.latency.valueAtPercentile(100 * (1 - 1 / rarity))
            return (x: rarity, y: max(Double(value) / 1000, 0.1))
        }
        return Plot(
            title: "Latency by percentile",
            x: PlotAxis("percentile", .logarithmic, of: [1, rarest]) { rarity in
                rarity <= 1
                    ? "0"
                    : rarity == 10
                        ? "90"
                        : "99" + (rarity > 100 ? "." : "")
                            + String(repeating: "9", count: max(0, Int(log10(rarity).rounded()) - 2))
            },
            y: PlotAxis("µs", .logarithmic, of: points.map(\.y)),
            lines: [Plot.Line(name: "latency", points: points)]
        )
    }

    private var ratePlot: Plot {
        let points = result.intervals.map { (x: $0.end / .seconds(1), y: $0.messagesPerSecond) }
        return Plot(
            title: "\(kind.unit.prefix(1).uppercased() + kind.unit.dropFirst()) a second over time",
            x: PlotAxis("seconds", .linear, of: points.map(\.x)),
            y: PlotAxis("\(kind.unit)/s", .linear, of: points.map(\.y)),
            lines: [Plot.Line(name: "rate", points: points)]
        )
    }

    /// What each core of the server and of the generator did.
    private var coresPlots: [Plot] {
        func bars(_ title: String, _ unit: String, of most: [Double], _ values: [Double]) -> Plot {
            Plot(
                title: title,
                x: PlotAxis("reactor", .linear, of: [Double(values.count)]),
                y: PlotAxis(unit, .linear, of: most),
                bars: values.enumerated().map { ("\($0.offset)", $0.element) }
            )
        }
        var plots: [Plot] = []
        if isLocal, !result.serverCPU.isEmpty {
            let all = Double(max(result.serverBytes.reduce(0, +), 1))
            let rates = result.serverBytes.map { Double($0) / all * result.messagesPerSecond }
            let cpu = result.serverCPU.map { 100 * ($0 / result.elapsed) }
            plots.append(bars("\(kind.unit)/s of the server's reactors", "\(kind.unit)/s", of: rates, rates))
            plots.append(bars("CPU of the server's reactors", "% of a core", of: [100], cpu))
        }
        let busy = result.generatorBusy.map { 100 * $0 }
        if !busy.isEmpty { plots.append(bars("The generator's reactors", "% busy", of: [100], busy)) }
        return plots
    }
}

extension SweepReport {
    /// The same as a page with a plot.
    func page(_ facts: MachineFacts, command: String) -> ReportPage {
        func line(_ name: String, _ value: KeyPath<RateSweep.Step, UInt64>) -> Plot.Line {
            let steps = sweep.steps.sorted { $0.due < $1.due }
            return Plot.Line(name: name, points: steps.map { ($0.due, max(Double($0[keyPath: value]) / 1000, 0.1)) })
        }
        let lines = [line("p50", \.p50), line("p99", \.p99), line("p99.9", \.p999)]
        let plot = Plot(
            title: "Latency against rate",
            x: PlotAxis("\(kind.unit) due a second", .linear, of: sweep.steps.map(\.due)),
            y: PlotAxis("µs", .logarithmic, of: lines.flatMap(\.points).map(\.y)),
            lines: lines,
            mark: sweep.knee.map { ($0.due, "knee: \(RateText.text($0.due))/s") }
        )
        return ReportPage(
            title: "spindle bench \(kind.name): rates",
            lines: [work, summary],
            warnings: warnings,
            figures: [
                (
                    "kneeMessagesPerSecond", "keeps up to",
                    sweep.knee.map { "\(RateText.text($0.due))/s" } ?? "none of these"
                )
            ],
            plots: [plot],
            facts: facts.all,
            command: command,
            json: json
        )
    }
}
