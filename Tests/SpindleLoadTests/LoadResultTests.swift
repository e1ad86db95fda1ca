// SPDX-License-Identifier: Apache-2.0

import Histogram
import Testing

@testable import SpindleLoad

@Suite("Results of several generators")
struct LoadResultTests {
    private func result(
        messages: Int,
        latencies: [UInt64],
        elapsed: Duration = .seconds(2),
        churn: Int? = nil
    ) -> LoadResult {
        var latency = LoadFigures.makeHistogram()
        for value in latencies { latency.record(value) }
        let interval = LoadInterval(
            end: .seconds(1),
            length: .seconds(1),
            messages: messages,
            p50: latencies.first ?? 0,
            p99: latencies.last ?? 0,
            longest: latencies.max() ?? 0
        )
        return LoadResult(
            messages: messages,
            elapsed: elapsed,
            unsent: 3,
            latency: latency,
            intervals: [interval],
            wasEndedEarly: false,
            churn: churn.map { ChurnResult(connections: $0, unopened: 1, latency: latency) },
            generatorBusy: [0.25, 0.5]
        )
    }

    @Test("a result comes out of its lines as it went in", arguments: [nil, 7])
    func transfer(churn: Int?) throws {
        let sent = result(messages: 4, latencies: [1000, 2000, 2000, 70_000_000], churn: churn)
        let read = try #require(LoadResult(transferLines: sent.transferLines))
        #expect(read.messages == 4 && read.unsent == 3 && read.elapsed == .seconds(2) && !read.wasEndedEarly)
        #expect(read.latency == sent.latency && read.intervals == sent.intervals)
        #expect(read.generatorBusy == [0.25, 0.5])
        #expect(read.churn?.connections == churn && read.churn?.latency == (churn == nil ? nil : sent.latency))
    }

    @Test("however many latencies differ, no line is long")
    func shortLines() throws {
        let sent = result(messages: 4, latencies: (0..<20_000).map { $0 * $0 * 100 })
        #expect(sent.transferLines.allSatisfy { $0.utf8.count < 16_384 })
        #expect(try #require(LoadResult(transferLines: sent.transferLines)).latency == sent.latency)
    }

    @Test("lines that are wrong, or not all of them, are no result")
    func garbled() {
        let lines = result(messages: 4, latencies: [1000]).transferLines
        let needed = ["messages ", "elapsed ", "unsent ", "early ", "end "]
        for index in lines.indices where needed.contains(where: lines[index].hasPrefix) {
            #expect(LoadResult(transferLines: lines.enumerated().filter { $0.offset != index }.map(\.element)) == nil)
        }
        for wrong in [
            "nonsense", "messages x", "messages", "latency 5", "churn x:1", "interval 1 2", "interval 1 2 3 4 5 -6", "",
        ] {
            #expect(LoadResult(transferLines: lines + [wrong]) == nil, "\(wrong)")
        }
    }

    @Test("a sum has all messages and latencies, the longest time, and what is known of the server")
    func sum() throws {
        let parts = [
            result(messages: 100, latencies: [1000, 1000], churn: 5),
            result(messages: 300, latencies: [3000, 9000], elapsed: .seconds(3), churn: 6),
        ]
        let usage = ServerUsage(cpu: .seconds(1))
        let sum = LoadResult.sum(parts, usage: usage, bytesPerConnection: 300)
        #expect(sum.messages == 400 && sum.unsent == 6 && sum.elapsed == .seconds(3))
        #expect(sum.latency.totalCount == 4 && sum.latency.max >= 9000)
        #expect(sum.churn?.connections == 11 && sum.churn?.unopened == 2 && sum.churn?.latency.totalCount == 4)
        #expect(sum.serverUsage == usage && sum.bytesPerConnection == 300)
        #expect(sum.generatorBusy == [0.25, 0.5, 0.25, 0.5])
        let interval = try #require(sum.intervals.first)
        #expect(sum.intervals.count == 1 && interval.messages == 400)
        #expect(interval.p50 == 2500 && interval.p99 == 9000 && interval.longest == 9000)
        #expect(LoadResult.sum([]).messages == 0)
    }
}
