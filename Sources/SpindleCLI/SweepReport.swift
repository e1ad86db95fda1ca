// SPDX-License-Identifier: Apache-2.0

import Spindle
import SpindleCore
import SpindleLoad
import SpindleTopology

/// What `spindle bench --rate-sweep` prints: a line for each rate as it comes, and the knee.
struct SweepReport {
    let plan: LoadPlan
    let kind: BenchKind
    let sweep: RateSweep
    /// What the rates don't say by themselves.
    let warnings: [String]

    static let head = "      due/s  came back/s    p50 µs    p99 µs  p99.9 µs"

    static func line(_ step: RateSweep.Step, keepsUp: Bool) -> String {
        let columns = [
            (RateText.text(step.due), 11), ("\(Int(step.cameBack))", 13), (microseconds(step.p50), 10),
            (microseconds(step.p99), 10), (microseconds(step.p999), 10),
        ]
        return columns.map { text, width in String(repeating: " ", count: max(0, width - text.count)) + text }.joined()
            + (keepsUp ? "" : step.unsent > 0 ? "   fell behind, \(step.unsent) never sent" : "   fell behind")
    }

    private static func microseconds(_ nanoseconds: UInt64) -> String { "\(nanoseconds / 1000)" }

    /// What is done, in a line.
    var work: String {
        let rates = sweep.steps.map(\.due)
        let what = "\(plan.connections) connections × \(SizesText.text(plan.sizes)) B × depth \(plan.depth)"
        let range = "\(RateText.text(rates.min() ?? 0)) to \(RateText.text(rates.max() ?? 0))/s"
        return "\(kind.name), \(what), open loops of \(range), \(TimeText.text(plan.duration)) each"
    }

    /// One sentence, and what is to be said about it.
    var text: String { ([summary] + warnings.map { "warning    \($0)" }).joined(separator: "\n") }

    var summary: String {
        if sweep.steps.isEmpty { return "ended before a rate was measured" }
        guard let knee = sweep.knee else {
            return "the server kept up with none of these rates: begin lower"
        }
        let highest = sweep.steps.map(\.due).max() ?? 0
        let end = knee.due == highest ? "and may take more" : "and falls behind above"
        return "the server takes \(RateText.text(knee.due)) \(kind.unit)/s with a p99 of "
            + "\(SweepReport.microseconds(knee.p99)) µs, \(end)"
    }

    var json: JSONValue {
        .object([
            .init("work", .string(kind.name)), .init("loop", "open"),
            .init("address", .string(plan.address.description)),
            .init("connections", .integer(plan.connections)), .init("messageBytes", .number(plan.sizes.mean)),
            .init("warnings", .strings(warnings)), .init("kneeMessagesPerSecond", .number(sweep.knee?.due)),
            .init(
                "steps",
                .array(
                    sweep.steps.map { step in
                        .object([
                            .init("messagesPerSecondDue", .number(step.due)),
                            .init("messagesPerSecond", .number(step.cameBack)),
                            .init("p50Nanoseconds", .integer(Int(step.p50))),
                            .init("p99Nanoseconds", .integer(Int(step.p99))),
                            .init("p99.9Nanoseconds", .integer(Int(step.p999))),
                            .init("unsent", .integer(step.unsent)), .init("keepsUp", .bool(sweep.keepsUp(step))),
                        ])
                    }
                )
            ),
        ])
    }
}
