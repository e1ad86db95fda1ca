// SPDX-License-Identifier: Apache-2.0

/// What follows from the measurements of one stage: a value, and why. Pure.
struct TuneAdvice: Equatable {
    /// What is known.
    enum Verdict: String {
        /// A value other than the first is better.
        case better
        /// None is better by enough, so the first stays.
        case same
        /// The same value differs from itself by so much that nothing can be said; the first stays.
        case tooNoisy
    }

    let option: String
    let value: String
    let verdict: Verdict
    /// One sentence.
    let reason: String
    /// How much a value differs from itself between rounds, as a share.
    let noise: Double

    /// Beyond this much noise nothing is said.
    static let mostNoise = 0.3
    /// Of the best rate, what fewer cores have to reach to be enough.
    static let enough = 0.92

    /// For a number of cores: the smallest that reaches most of what the best number does.
    ///
    /// - Parameter unchanged: What stays when there is nothing to choose from.
    static func cores(_ points: [TunePoint], unchanged: String) -> TuneAdvice {
        let best = points.map(\.rates.median).max() ?? 0
        let noise = points.map { spread($0.rates) }.max() ?? 0
        guard points.count > 1, let last = points.last else {
            let reason =
                "\(Int(best)) messages/s on \(points.first?.value ?? "0") core; more were not tried, because the "
                + "load generator needs the other"
            return TuneAdvice(option: "cores", value: unchanged, verdict: .same, reason: reason, noise: noise)
        }
        guard noise <= mostNoise else {
            let reason = "the same number of cores differs from itself by \(percent(noise))"
            return TuneAdvice(option: "cores", value: unchanged, verdict: .tooNoisy, reason: reason, noise: noise)
        }
        let chosen = points.first { $0.rates.median >= enough * best } ?? last
        guard chosen.value != last.value else {
            let reason =
                "each core that was tried adds to it, up to \(last.value) with \(Int(last.rates.median)) messages/s; "
                + "more were not tried, because the load generator needs the others"
            return TuneAdvice(option: "cores", value: unchanged, verdict: .same, reason: reason, noise: noise)
        }
        var reason = "\(Int(chosen.rates.median)) messages/s"
        if let top = points.max(by: { $0.rates.median < $1.rates.median }), top.value != chosen.value {
            reason +=
                ": \(percent(chosen.rates.median / best)) of what \(top.value) cores reach, at "
                + "\(percent(chosen.cpu.median / max(top.cpu.median, 1))) of their CPU for each message"
        }
        if let limited = points.first(where: { $0.generatorBusy > 0.95 && $0.serverBusy < 0.9 }) {
            reason += "; from \(limited.value) on the load generator was the limit"
        }
        return TuneAdvice(option: "cores", value: chosen.value, verdict: .better, reason: reason, noise: noise)
    }

    /// For a server that runs already: the fewest connections that reach most of what the best number does.
    static func connections(_ points: [TunePoint]) -> TuneAdvice {
        let best = points.map(\.rates.median).max() ?? 0
        let noise = points.map { spread($0.rates) }.max() ?? 0
        let chosen = points.first { $0.rates.median >= enough * best }
        let value = chosen?.value ?? ""
        guard noise <= mostNoise, let chosen, let most = points.last else {
            let reason = "the same number of connections differs from itself by \(percent(noise))"
            return TuneAdvice(option: "connections", value: value, verdict: .tooNoisy, reason: reason, noise: noise)
        }
        var reason =
            "\(Int(chosen.rates.median)) messages/s with a median of \(microseconds(chosen.p50.median)); "
            + "\(most.value) connections reach \(Int(most.rates.median)) with \(microseconds(most.p50.median))"
        if chosen.generatorBusy > 0.95 { reason += "; the load generator was the limit" }
        return TuneAdvice(option: "connections", value: value, verdict: .better, reason: reason, noise: noise)
    }

    /// For the other options: the first value, unless another is better by enough, in the median of the rounds.
    static func choose(_ stage: TuneStage, _ points: [TunePoint]) -> TuneAdvice {
        guard let first = points.first else {
            let value = stage.values.first ?? ""
            return TuneAdvice(
                option: stage.option,
                value: value,
                verdict: .same,
                reason: "nothing was measured",
                noise: 0
            )
        }
        let noise = points.map { spread($0.scores(stage.measure)) }.max() ?? 0
        /// How much better than the first in the same round: what the machine does in a minute meets both.
        func gain(_ point: TunePoint) -> Double {
            zip(point.scores(stage.measure), first.scores(stage.measure)).map { $0 / max($1, .leastNonzeroMagnitude) }
                .median - 1
        }
        let highest = points.dropFirst().map(gain).max() ?? 0
        // The first that is as good as the best, but for what would not count as better: a second run says the same.
        let least = max(stage.leastGain, noise, highest - stage.leastGain)
        let best = points.dropFirst().first { gain($0) >= least }
        let what = stage.measure == .rate ? "messages/s" : "median latency"
        if let best {
            let gained =
                stage.measure == .rate
                ? "\(percent(gain(best))) more \(what)"
                : "a \(what) of \(microseconds(best.p50.median)) instead of \(microseconds(first.p50.median))"
            let cost = best.cpu.median / max(first.cpu.median, 1)
            let reason = "\(gained) than with \(first.value), for \(percent(cost)) of its CPU"
            return TuneAdvice(option: stage.option, value: best.value, verdict: .better, reason: reason, noise: noise)
        }
        guard noise <= mostNoise else {
            let reason = "the same value differs from itself by \(percent(noise)): \(first.value) stays"
            return TuneAdvice(
                option: stage.option,
                value: first.value,
                verdict: .tooNoisy,
                reason: reason,
                noise: noise
            )
        }
        let tried = points.dropFirst().map(\.value).joined(separator: ", ")
        let reason = "\(tried): not better by \(percent(max(stage.leastGain, noise))) or more"
        return TuneAdvice(option: stage.option, value: first.value, verdict: .same, reason: reason, noise: noise)
    }

    /// How far the rounds of one value are from its median, half of them within: as a share.
    private static func spread(_ values: [Double]) -> Double {
        let middle = values.median
        guard middle > 0, values.count > 1 else { return 0 }
        return values.map { abs($0 - middle) / middle }.median
    }

    static func percent(_ share: Double) -> String { "\(Int((share * 100).rounded())) %" }

    static func microseconds(_ nanoseconds: Double) -> String { "\((nanoseconds / 100).rounded() / 10) µs" }
}
