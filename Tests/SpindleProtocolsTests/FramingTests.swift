// SPDX-License-Identifier: Apache-2.0

import SpindleCore
import SpindleProtocols
import SpindleTesting
import Testing

@Suite("framing")
struct FramingTests {
    private func everyCut(_ text: String, _ format: some FrameFormat, gives wanted: [String]) {
        everyCut(Array(text.utf8), format, gives: wanted)
    }

    private func everyCut(_ bytes: [UInt8], _ format: some FrameFormat, gives wanted: [String]) {
        for cut in Cut.all(of: bytes.count) {
            let heard = takenApart(bytes, format, cut)
            guard heard == wanted else {
                Issue.record("\(bytes) cut \(cut) by \(format) gave \(heard), not \(wanted)")
                return
            }
        }
    }

    @Test("C52: any cutting gives the same lines")
    func lines() {
        everyCut("a\nbc\r\n\n\r\nx\ry\n", LineFormat(), gives: ["a", "bc", "", "", "x\ry"])
        everyCut("one\r\r\ntwo", LineFormat(), gives: ["one\r"])
    }

    @Test("C52: a line of the limit's length is a line, one that is longer fails, with or without its end in sight")
    func lineLimit() {
        everyCut("abcd\nabcd\r\nx\n", LineFormat(limitBytes: 4), gives: ["abcd", "abcd", "x"])
        everyCut("ab\nabcde\nx\n", LineFormat(limitBytes: 4), gives: ["ab", "!tooLong"])
        everyCut("ab\nabcdefghi", LineFormat(limitBytes: 4), gives: ["ab", "!tooLong"])
        everyCut("abcd\rx\n", LineFormat(limitBytes: 4), gives: ["!tooLong"])
    }

    @Test("C52: any cutting gives the same messages with a delimiter, one that begins within itself included")
    func delimiters() {
        everyCut("a\r\nb\nc\r\r\n\r\n", DelimiterFormat("\r\n"), gives: ["a", "b\nc\r", ""])
        everyCut("xaabaaab", DelimiterFormat("aab"), gives: ["x", "a"])
        everyCut("abcd--abcde--", DelimiterFormat("--", limitBytes: 4), gives: ["abcd", "!tooLong"])
        everyCut("abcdefg", DelimiterFormat("--", limitBytes: 4), gives: ["!tooLong"])
        everyCut("abcd-", DelimiterFormat("--", limitBytes: 4), gives: [])
    }

    @Test("C53: any cutting gives the same messages behind lengths; an empty one is a message")
    func prefixes() {
        everyCut([2, 65, 66, 0, 1, 67, 3, 68], LengthPrefixFormat<UInt8>(), gives: ["AB", "", "C"])
        everyCut([0, 2, 65, 66, 0, 0, 0, 1, 67], LengthPrefixFormat<UInt16>(), gives: ["AB", "", "C"])
        everyCut([0, 0, 0, 2, 65, 66, 0, 0, 0, 0], LengthPrefixFormat<UInt32>(), gives: ["AB", ""])
        everyCut([0, 0, 0, 0, 0, 0, 0, 1, 65], LengthPrefixFormat<UInt64>(), gives: ["A"])
    }

    @Test("C53: a length beyond the limit fails when it is read, whatever it says")
    func prefixLimit() {
        everyCut([1, 65, 3, 66, 67, 68], LengthPrefixFormat<UInt8>(limitBytes: 2), gives: ["A", "!tooLong"])
        everyCut([255, 255, 255, 255], LengthPrefixFormat<UInt32>(), gives: ["!tooLong"])
        everyCut([255, 255, 255, 255, 255, 255, 255, 255], LengthPrefixFormat<UInt64>(), gives: ["!tooLong"])
        everyCut(
            [255, 255, 255, 255, 255, 255, 255, 255],
            LengthPrefixFormat<UInt64>(limitBytes: .max),
            gives: ["!tooLong"]
        )
    }

    @Test("without any limit the peer's bytes can't lead to a number that is too large")
    func noLimit() {
        everyCut("a\nb", LineFormat(limitBytes: .max), gives: ["a"])
        everyCut("a--b", DelimiterFormat("--", limitBytes: .max), gives: ["a"])
        let full = [UInt8](repeating: 255, count: 9)
        for adjustment in [-8, 0, 8, .max / 4, -(.max / 4)] {
            let format = LengthFieldFormat(fieldBytes: 8, adjustmentBytes: adjustment, limitBytes: .max)
            everyCut(full, format, gives: ["!tooLong"])
            everyCut([0x3F] + full, format, gives: ["!tooLong"])
        }
    }

    @Test("C54: any cutting gives the same netstrings; what is none fails")
    func netstrings() {
        everyCut("3:hel,0:,1::,", NetstringFormat(), gives: ["hel", "", ":"])
        everyCut("1:a,x", NetstringFormat(), gives: ["a", "!malformed"])
        everyCut("01:a,", NetstringFormat(), gives: ["!malformed"])
        everyCut(":a,", NetstringFormat(), gives: ["!malformed"])
        everyCut("1:ab", NetstringFormat(), gives: ["!malformed"])
        everyCut("3:abc,4:abcd,", NetstringFormat(limitBytes: 3), gives: ["abc", "!tooLong"])
        everyCut("9999999999", NetstringFormat(), gives: ["!tooLong"])
        everyCut("-1:,", NetstringFormat(), gives: ["!malformed"])
    }

    @Test("length fields: in the middle of a header, of either order, counting the whole frame or the payload")
    func lengthFields() {
        let inMiddle = LengthFieldFormat(offset: 1, fieldBytes: 2, adjustmentBytes: 1, droppedBytes: 4)
        everyCut([9, 0, 2, 9, 65, 66, 9, 0, 0, 9], inMiddle, gives: ["AB", ""])
        let whole = LengthFieldFormat(fieldBytes: 3, adjustmentBytes: -3, isBigEndian: false, limitBytes: 5)
        everyCut([5, 0, 0, 65, 66, 3, 0, 0], whole, gives: ["\u{5}\0\0AB", "\u{3}\0\0"])
        everyCut([6, 0, 0, 65, 66, 67], whole, gives: ["!tooLong"])
        everyCut([2, 0, 0, 65], whole, gives: ["!malformed"])
        everyCut([UInt8](repeating: 255, count: 8), LengthFieldFormat(fieldBytes: 8), gives: ["!tooLong"])
        let odd = LengthFieldFormat(fieldBytes: 8, adjustmentBytes: .max / 4, limitBytes: .max)
        everyCut([UInt8](repeating: 127, count: 9), odd, gives: ["!tooLong"])
        let negative = LengthFieldFormat(fieldBytes: 1, adjustmentBytes: -1000, limitBytes: 10)
        everyCut([200, 1, 2], negative, gives: ["!malformed"])
    }

    @Test("what is written in a format is read again as the same messages", arguments: 0..<50 as Range<UInt64>)
    func roundTrip(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        let alphabet = Array("ab\n\r-:,5".utf8) + [0, 255]
        try roundTrip(LineFormat(limitBytes: 20, writesCarriageReturn: seed % 2 == 0), alphabet, &generator)
        try roundTrip(DelimiterFormat("-a-", limitBytes: 20), alphabet, &generator)
        try roundTrip(LengthPrefixFormat<UInt8>(limitBytes: 20), alphabet, &generator)
        try roundTrip(LengthPrefixFormat<UInt16>(limitBytes: 20), alphabet, &generator)
        try roundTrip(NetstringFormat(limitBytes: 20), alphabet, &generator)
        try roundTrip(
            LengthFieldFormat(fieldBytes: 2, droppedBytes: 2, isBigEndian: false, limitBytes: 22),
            alphabet,
            &generator
        )
    }

    private func roundTrip(
        _ format: some FrameFormat,
        _ alphabet: [UInt8],
        _ generator: inout SeededGenerator
    ) throws {
        var stream: [UInt8] = []
        var wanted: [String] = []
        for _ in 0..<20 {
            let length = Int.random(in: 0...21, using: &generator)
            let contents = (0..<length).map { _ in alphabet.randomElement(using: &generator)! }
            let before = stream.count
            do {
                try format.encode(contents.span) { piece in
                    for index in piece.indices { stream.append(piece[index]) }
                }
                wanted.append(String(decoding: contents, as: UTF8.self))
            } catch {
                #expect(stream.count == before, "refused, and written all the same")
                #expect(length == 21 || error.kind == .malformed)
            }
        }
        #expect(takenApart(stream, format, .random(seed: generator.next())) == wanted, "\(format)")
    }

    @Test("C53: a message that is too long to be read is not written")
    func tooLongSend() {
        func refusal(_ format: some FrameFormat, _ count: Int) -> FramingError.Kind? {
            var written = 0
            do { try format.encode([UInt8](repeating: 65, count: count).span) { written += $0.count } } catch {
                #expect(written == 0)
                return error.kind
            }
            return nil
        }
        #expect(refusal(LengthPrefixFormat<UInt8>(limitBytes: 1000), 255) == nil)
        #expect(refusal(LengthPrefixFormat<UInt8>(limitBytes: 1000), 256) == .tooLong)
        #expect(refusal(LineFormat(limitBytes: 5), 6) == .tooLong)
        #expect(refusal(NetstringFormat(limitBytes: 5), 6) == .tooLong)
        #expect(refusal(DelimiterFormat("\n", limitBytes: 5), 6) == .tooLong)
        #expect(refusal(LengthFieldFormat(fieldBytes: 1, droppedBytes: 1, limitBytes: 300), 256) == .malformed)
    }

    @Test("of a message that was cut no more is kept than it takes, and nothing between messages")
    func keeps() {
        let framing = Framing(LineFormat(limitBytes: 10))
        func take(_ text: String) {
            framing.take(Array(text.utf8).span) { (_) throws(Never) in
                true
            } raw: { (_) throws(Never) in
                true
            } failed: { (_) throws(Never) in
            } unread: { _ in
            }
        }
        take("hello\nwor")
        #expect(framing.pendingByteCount == 3)
        take("ld\nand more\n")
        #expect(framing.pendingByteCount == 0)
        take("123456789")
        #expect(framing.pendingByteCount == 9)
        take(String(repeating: "x", count: 100_000))
        #expect(framing.hasFailed)
        #expect(framing.pendingByteCount == 0, "what was refused is not kept")
        #expect(framing.takePending().isEmpty)
    }
}

/// SplitMix64: the same numbers for the same seed.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64
    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var value = state
        value = (value ^ value >> 30) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ value >> 27) &* 0x94D0_49BB_1331_11EB
        return value ^ value >> 31
    }
}
