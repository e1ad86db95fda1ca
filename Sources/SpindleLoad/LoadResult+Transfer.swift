// SPDX-License-Identifier: Apache-2.0

internal import Histogram

/// A result on its way from one process to another that adds up several: what the generator measured, as lines of text.
/// What is known of the server is not part of it.
extension LoadResult {
    /// The lines; whole numbers, times in nanoseconds.
    public var transferLines: [String] {
        /// In lines of a few kilobytes: whoever reads them limits a line's length.
        func counts(_ name: String, _ histogram: Histogram<UInt64>) -> [String] {
            let values = histogram.recordedValues().map { "\($0.value):\($0.count)" }
            return stride(from: 0, to: values.count, by: 500).map { start in
                "\(name) " + values[start..<min(start + 500, values.count)].joined(separator: " ")
            }
        }
        var lines = [
            "messages \(messages)", "elapsed \(elapsed.wholeNanoseconds)", "unsent \(unsent)",
            "early \(wasEndedEarly ? 1 : 0)", "lost \(lost ?? -1)",
            "busy \(generatorBusy.map { "\(Int($0 * 1e6))" }.joined(separator: " "))",
        ]
        lines += intervals.map { interval in
            let numbers = [
                interval.end.wholeNanoseconds, interval.length.wholeNanoseconds, Int64(interval.messages),
                Int64(interval.p50), Int64(interval.p99), Int64(interval.longest),
            ]
            return "interval " + numbers.map(String.init).joined(separator: " ")
        }
        if let churn {
            lines += ["opened \(churn.connections)", "unopened \(churn.unopened)"]
            lines += counts("churn", churn.latency)
        }
        return lines + counts("latency", latency) + ["end 0"]
    }

    /// What such lines say; nil when a line is none of them or one is missing.
    public init?(transferLines: some Sequence<String>) {
        var single: [String: Int] = [:]
        var (latency, churnLatency) = (LoadFigures.makeHistogram(), LoadFigures.makeHistogram())
        var (intervals, busy) = ([LoadInterval](), [Double]())
        for line in transferLines {
            let words = line.split(separator: " ")
            guard let name = words.first else { return nil }
            let numbers = words.dropFirst().compactMap { Int($0) }
            switch name {
            case "latency": guard LoadResult.add(words.dropFirst(), to: &latency) else { return nil }
            case "churn": guard LoadResult.add(words.dropFirst(), to: &churnLatency) else { return nil }
            case "busy": busy = numbers.map { Double($0) / 1e6 }
            case "interval":
                guard let interval = LoadInterval(transferred: numbers) else { return nil }
                intervals.append(interval)
            default:
                guard numbers.count == 1, words.count == 2 else { return nil }
                single[String(name)] = numbers[0]
            }
        }
        guard let messages = single["messages"], let elapsed = single["elapsed"], let unsent = single["unsent"],
            let early = single["early"], single["end"] != nil
        else { return nil }
        var churn: ChurnResult?
        if let opened = single["opened"], let unopened = single["unopened"] {
            churn = ChurnResult(connections: opened, unopened: unopened, latency: churnLatency)
        }
        self.init(
            messages: messages,
            elapsed: .nanoseconds(elapsed),
            unsent: unsent,
            lost: single["lost"].flatMap { $0 < 0 ? nil : $0 },
            latency: latency,
            intervals: intervals,
            wasEndedEarly: early != 0,
            churn: churn,
            generatorBusy: busy
        )
    }

    /// What several generators did at the same time, as if one had done it, with what is known of the server.
    ///
    /// Of an interval the median is that of the generators' by their messages, the 99th percentile the worst of theirs.
    public static func sum(
        _ results: [LoadResult],
        usage: ServerUsage? = nil,
        bytesPerConnection: Double? = nil
    ) -> LoadResult {
        let latency = LoadFigures.merged(results.map(\.latency))
        let churns = results.compactMap(\.churn)
        let intervals = (0..<(results.map(\.intervals.count).max() ?? 0)).map { index in
            LoadInterval.sum(results.compactMap { $0.intervals.indices.contains(index) ? $0.intervals[index] : nil })
        }
        return LoadResult(
            messages: results.reduce(0) { $0 + $1.messages },
            elapsed: results.map(\.elapsed).max() ?? .zero,
            unsent: results.reduce(0) { $0 + $1.unsent },
            lost: results.compactMap(\.lost).isEmpty ? nil : results.compactMap(\.lost).reduce(0, +),
            latency: latency,
            intervals: intervals,
            wasEndedEarly: results.contains { $0.wasEndedEarly },
            churn: churns.isEmpty
                ? nil
                : ChurnResult(
                    connections: churns.reduce(0) { $0 + $1.connections },
                    unopened: churns.reduce(0) { $0 + $1.unopened },
                    latency: LoadFigures.merged(churns.map(\.latency))
                ),
            bytesPerConnection: bytesPerConnection,
            serverUsage: usage,
            generatorBusy: results.flatMap(\.generatorBusy)
        )
    }

    private static func add(_ words: some Sequence<Substring>, to histogram: inout Histogram<UInt64>) -> Bool {
        for word in words {
            let parts = word.split(separator: ":")
            guard parts.count == 2, let value = UInt64(parts[0]), let count = UInt64(parts[1]) else { return false }
            histogram.record(min(value, LoadFigures.longest), count: count)
        }
        return true
    }
}

extension LoadInterval {
    fileprivate init?(transferred numbers: [Int]) {
        guard numbers.count == 6, numbers.allSatisfy({ $0 >= 0 }) else { return nil }
        self.init(
            end: .nanoseconds(numbers[0]),
            length: .nanoseconds(numbers[1]),
            messages: numbers[2],
            p50: UInt64(numbers[3]),
            p99: UInt64(numbers[4]),
            longest: UInt64(numbers[5])
        )
    }

    fileprivate static func sum(_ intervals: [LoadInterval]) -> LoadInterval {
        let messages = intervals.reduce(0) { $0 + $1.messages }
        let weighted = intervals.reduce(0.0) { $0 + Double($1.p50) * Double($1.messages) }
        return LoadInterval(
            end: intervals.map(\.end).max() ?? .zero,
            length: intervals.map(\.length).max() ?? .zero,
            messages: messages,
            p50: messages > 0 ? UInt64(weighted / Double(messages)) : 0,
            p99: intervals.map(\.p99).max() ?? 0,
            longest: intervals.map(\.longest).max() ?? 0
        )
    }
}

extension Duration {
    fileprivate var wholeNanoseconds: Int64 { Int64(self / .nanoseconds(1)) }
}
