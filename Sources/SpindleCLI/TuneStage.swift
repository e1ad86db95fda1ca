// SPDX-License-Identifier: Apache-2.0

import Histogram
import SpindleLoad

/// One question of `spindle tune`: which value of an option is best, under one load.
struct TuneStage: Sendable {
    /// What decides between two values.
    enum Measure: String, Sendable {
        /// Messages a second: more is better.
        case rate
        /// The median latency of an open loop: less is better.
        case latency
    }

    /// The option's name in the engine's table; or `connections`, which is none of an engine's.
    let option: String
    /// The values that are tried; the first is what stays unless another is clearly better.
    let values: [String]
    let measure: Measure
    /// What is done to compare them.
    let kind: BenchKind
    /// What it is about, for people.
    let question: String

    static let connections = "connections"

    /// A value that wins must be better by this share, and by more than the machine's noise.
    var leastGain: Double { measure == .rate ? 0.05 : 0.2 }
}

/// What one value gave, in every round.
struct TunePoint: Sendable, Equatable {
    let value: String
    /// Messages a second, by round.
    var rates: [Double] = []
    /// Nanoseconds of the server's CPU for each message, by round.
    var cpu: [Double] = []
    /// Median and 99th percentile in nanoseconds, by round.
    var p50: [Double] = []
    var p99: [Double] = []
    /// How busy the busiest core of the generator, and of the server, was: 0...1, the highest of all rounds.
    var generatorBusy = 0.0
    var serverBusy = 0.0

    init(_ value: String) { self.value = value }

    mutating func add(_ result: LoadResult) {
        rates.append(result.messagesPerSecond)
        let usage = result.serverUsage.map { $0.cpu / .nanoseconds(1) } ?? 0
        cpu.append(result.messages > 0 ? usage / Double(result.messages) : 0)
        p50.append(Double(result.latency.valueAtPercentile(50)))
        p99.append(Double(result.latency.valueAtPercentile(99)))
        generatorBusy = max(generatorBusy, result.generatorBusy.max() ?? 0)
        let busiest = result.serverCPU.map { $0 / result.elapsed }.max()
        // Of a server in another process only the sum is known: all of its cores are taken to be alike.
        let share = result.serverUsage.map { $0.cpu / result.elapsed / Double(Int(value) ?? 1) }
        serverBusy = max(serverBusy, busiest ?? share ?? 0)
    }

    /// What decides, by round: more is better.
    func scores(_ measure: TuneStage.Measure) -> [Double] {
        switch measure {
        case .rate: rates
        case .latency: p50.map { 1 / max($0, 1) }
        }
    }
}

extension [Double] {
    /// The middle one, or the mean of the two in the middle; 0 of none.
    var median: Double {
        guard !isEmpty else { return 0 }
        let sorted = sorted()
        return (sorted[(count - 1) / 2] + sorted[count / 2]) / 2
    }
}
