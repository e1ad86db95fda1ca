// SPDX-License-Identifier: Apache-2.0

import SpindleTopology
import Testing

@testable import SpindleCLI

@Suite("What tune advises")
struct TuneTests {
    private static let latency = TuneStage(
        option: "idle-spin",
        values: ["0", "20us", "200us"],
        measure: .latency,
        kind: .echo,
        question: "?"
    )
    private static let rate = TuneStage(
        option: "receive-buffer",
        values: ["64KiB", "16KiB"],
        measure: .rate,
        kind: .stream,
        question: "?"
    )

    private func point(
        _ value: String,
        rates: [Double] = [1000, 1000, 1000],
        cpu: Double = 5000,
        p50: [Double] = [50_000, 50_000, 50_000],
        generatorBusy: Double = 0.5,
        serverBusy: Double = 0.95
    ) -> TunePoint {
        var point = TunePoint(value)
        point.rates = rates
        point.cpu = [cpu]
        point.p50 = p50
        point.generatorBusy = generatorBusy
        point.serverBusy = serverBusy
        return point
    }

    @Test("the smallest number of cores that reaches nearly all of the best is enough, at its cost beside the best")
    func cores() {
        let advice = TuneAdvice.cores(
            [
                point("1", rates: [100, 101, 99]), point("2", rates: [195, 197, 196], cpu: 5500),
                point("4", rates: [372, 370, 374], cpu: 6000), point("8", rates: [400, 402, 398], cpu: 12_000),
            ],
            unchanged: "auto"
        )
        #expect(advice.value == "4" && advice.verdict == .better)
        #expect(advice.reason.contains("93 % of what 8 cores reach, at 50 % of their CPU"))
    }

    @Test("it says from how many cores on the load generator was the limit")
    func generatorLimits() {
        let advice = TuneAdvice.cores(
            [
                point("1", rates: [100]), point("2", rates: [190]),
                point("4", rates: [191], generatorBusy: 0.99, serverBusy: 0.5),
            ],
            unchanged: "auto"
        )
        #expect(advice.value == "2" && advice.reason.contains("from 4 on the load generator was the limit"))
    }

    @Test("where every core that can be tried adds to it, what was stays: the generator has the others")
    func largestWins() {
        let advice = TuneAdvice.cores(
            [point("1", rates: [100]), point("2", rates: [200]), point("4", rates: [400])],
            unchanged: "auto"
        )
        #expect(advice.value == "auto" && advice.verdict == .same && advice.reason.contains("more were not tried"))
    }

    @Test("where only one number of cores can be tried, what was stays, and it is said why")
    func oneCore() {
        let advice = TuneAdvice.cores([point("1")], unchanged: "auto")
        #expect(advice.value == "auto" && advice.verdict == .same)
        #expect(advice.reason.contains("the load generator needs the other"))
    }

    @Test("a value that is clearly better is taken, with what it gains and costs")
    func better() {
        let advice = TuneAdvice.choose(
            Self.latency,
            [
                point("0"), point("20us", cpu: 10_000, p50: [31_000, 30_000, 30_500]),
                point("200us", p50: [30_500, 30_000, 31_000]),
            ]
        )
        // Both are; the one that costs less by its place comes first.
        #expect(advice.verdict == .better && advice.value == "20us")
        #expect(advice.reason.contains("instead of 50.0 µs"))
    }

    @Test("a value that is nearly as good as the best does not hide it when it is not enough itself")
    func nearlyEnough() {
        let advice = TuneAdvice.choose(
            Self.latency,
            [point("0"), point("20us", p50: [47_600, 47_600, 47_600]), point("200us", p50: [40_300, 40_300, 40_300])]
        )
        #expect(advice.verdict == .better && advice.value == "200us")
    }

    @Test("what is better by less than it takes, or by less than the noise, changes nothing")
    func same() {
        let small = TuneAdvice.choose(Self.rate, [point("64KiB"), point("16KiB", rates: [1040, 1040, 1040])])
        #expect(small.verdict == .same && small.value == "64KiB")
        let noisy = TuneAdvice.choose(
            Self.rate,
            [point("64KiB", rates: [800, 1000, 1200]), point("16KiB", rates: [880, 1100, 1320])]
        )
        #expect(noisy.verdict == .same && noisy.value == "64KiB")
    }

    @Test("paired rounds tell two values apart though the machine changes under both")
    func paired() {
        let advice = TuneAdvice.choose(
            Self.rate,
            [point("64KiB", rates: [1000, 1010, 1000, 400]), point("16KiB", rates: [1300, 1313, 1300, 520])]
        )
        #expect(advice.verdict == .better && advice.value == "16KiB")
    }

    @Test("a machine on which a value differs from itself by a third gets no advice")
    func tooNoisy() {
        let rates: [Double] = [300, 1000, 2000]
        #expect(TuneAdvice.choose(Self.rate, [point("64KiB", rates: rates), point("16KiB")]).verdict == .tooNoisy)
        let cores = TuneAdvice.cores([point("1", rates: rates), point("2")], unchanged: "auto")
        #expect(cores.verdict == .tooNoisy && cores.value == "auto")
    }

    @Test("numbers of cores double, and end with the most there can be")
    func counts() {
        #expect(TuneRun.counts(upTo: 1) == [1])
        #expect(TuneRun.counts(upTo: 6) == [1, 2, 4, 6])
        #expect(TuneRun.counts(upTo: 8) == [1, 2, 4, 8])
        #expect(TuneRun.counts(upTo: 12, and: 6) == [1, 2, 4, 6, 8, 12], "6 physical cores")
        #expect(TuneRun.counts(upTo: 2, and: 6) == [1, 2])
    }

    @Test("the fewest connections that load a server are those that reach most of what more do")
    func connections() {
        let points = [
            point("1", rates: [100, 100, 100]), point("4", rates: [930, 930, 930]),
            point("16", rates: [1000, 990, 1000]),
        ]
        let advice = TuneAdvice.connections(points)
        #expect(advice.value == "4" && advice.verdict == .better)
        let noisy = TuneAdvice.connections([point("1", rates: [300, 1000, 2000])])
        #expect(noisy.verdict == .tooNoisy)
        #expect(TuneAdvice.connections([]).verdict == .tooNoisy)
    }

    @Test("docs/tuning.md is what the table of options says (make tuning-doc)")
    func document() throws {
        #expect(TuningDocument.unknown.isEmpty)
        let root = #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
        guard case .text(let text) = SystemFiles().read("/\(root)/docs/tuning.md") else {
            throw Missing()
        }
        #expect(text == TuningDocument.text)
    }

    private struct Missing: Error {}
}
