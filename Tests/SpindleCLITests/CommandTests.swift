// SPDX-License-Identifier: Apache-2.0

import Spindle
import SpindleLoad
import SpindleTopology
import Testing

@testable import SpindleCLI

@Suite
struct CommandTests {
    @Test("a rate is a number above 0 with k or M, and is printed as it was written")
    func rates() {
        for (text, rate) in [("1", 1.0), ("500", 500), ("10k", 10_000), ("1.5M", 1_500_000), ("12.25k", 12_250)] {
            #expect(RateText.parse(text) == rate)
            #expect(RateText.text(rate) == text)
        }
        for wrong in ["", "0", "-1", "k", "10g", "1 k", "1.2.3", "10kk"] {
            #expect(RateText.parse(wrong) == nil, "\(wrong)")
        }
    }

    @Test("sizes are a number, a range or a list with weights, and are printed as they were written")
    func sizes() {
        #expect(SizesText.parse("64") == .constant(64))
        #expect(SizesText.parse("64..4KiB") == .uniform(64...4096))
        #expect(
            SizesText.parse("1:9,16KiB:1") == .weighted([.init(bytes: 1, weight: 9), .init(bytes: 16384, weight: 1)])
        )
        for text in ["64", "64..4KiB", "1:9,16KiB:1"] { #expect(SizesText.parse(text).map(SizesText.text) == text) }
        for wrong in ["", "0", "4..1", "..", "1..", "1:0", "1:", "1:1,", ",", "65MiB", "1:x", "0..5"] {
            #expect(SizesText.parse(wrong) == nil, "\(wrong)")
        }
    }

    @Test("what a process uses is the sum over its threads, and nothing when it is not there")
    func processUsage() {
        let files = SystemFiles(texts: [
            "/proc/7/stat": "7 (a (b) c) S 1 7 7 0 -1 0 0 0 0 0 0 0 0 0 20 0 2 0",
            "/proc/7/status": "Name:\tx\nVmRSS:\t    2048 kB\n",
            "/proc/7/task/7/schedstat": "1500 9 9\n",
            "/proc/7/task/7/status": "voluntary_ctxt_switches:\t3\nnonvoluntary_ctxt_switches:\t1\n",
            "/proc/7/task/8/schedstat": "500 9 9\n",
            "/proc/7/task/8/status": "voluntary_ctxt_switches:\t40\nnonvoluntary_ctxt_switches:\t2\n",
        ])
        let usage = ProcessUsage(process: 7, files: files).read()
        let expected = ServerUsage(
            cpu: .nanoseconds(2000),
            voluntarySwitches: 43,
            involuntarySwitches: 3,
            residentBytes: 2 << 20
        )
        #expect(usage == expected)
        // Threads that have ended left their time with the process: 300 and 20 hundredths of a second.
        let stat = "7 (a (b) c) S 1 7 7 0 -1 0 0 0 0 0 300 20 0 0 20 0 2 0"
        let later = SystemFiles(texts: ["/proc/7/stat": stat, "/proc/7/task/7/schedstat": "1500 9 9\n"])
        #expect(ProcessUsage(process: 7, files: later).read()?.cpu == .milliseconds(3200))
        #expect(ProcessUsage(process: 8, files: files).read() == nil)
    }

    @Test("chargen's lines follow RFC 864: 72 characters, each line begins one further")
    func chargenLines() {
        #expect(ChargenProtocol.line(0).count == 74)
        #expect(ChargenProtocol.line(0).first == UInt8(ascii: " "))
        #expect(ChargenProtocol.line(1).first == UInt8(ascii: "!"))
        #expect(ChargenProtocol.line(95) == ChargenProtocol.line(0))
    }
}
