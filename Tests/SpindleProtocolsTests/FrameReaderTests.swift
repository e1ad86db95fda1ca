// SPDX-License-Identifier: Apache-2.0

import SpindleCore
import SpindleProtocols
import SpindleReactor
import SpindleTesting
import Testing

@Suite("frames of async connections")
struct FrameReaderTests {
    /// What handlers have to tell.
    // Sendable: a scripted connection's handlers run on the test's own thread.
    private final class Notes: @unchecked Sendable { var lines: [String] = [] }

    private func serve(
        _ notes: Notes,
        _ handler: nonisolated(nonsending) @escaping @Sendable (StreamConnection) async throws -> Void
    ) -> ScriptedConnection {
        ScriptedConnection(serving: { connection in
            do {
                try await handler(connection)
                notes.lines.append("end")
            } catch let error as FramingError {
                notes.lines.append("!\(error.kind)")
            }
        })
    }

    @Test("messages come one by one however they were cut, and their end with the peer's", arguments: Cut.all(of: 9))
    func sequence(cut: Cut) {
        let notes = Notes()
        let test = serve(notes) { connection in
            for try await line in connection.frames(LineFormat()) {
                notes.lines.append(line.text)
                try await connection.write("\(line.text.count);")
            }
        }
        test.feed("ab\n\ncde\r\n", cut: cut)
        #expect(test.takeText() == "2;0;3;")
        test.halfClose()
        #expect(notes.lines == ["ab", "", "cde", "end"])
    }

    @Test("a body of raw bytes stands between messages", arguments: [Cut.whole, .every(1), .every(3), .at([4, 5])])
    func raw(cut: Cut) {
        let notes = Notes()
        let test = serve(notes) { connection in
            let reader = connection.frames(LineFormat())
            while let header = try await reader.next() {
                notes.lines.append(try await reader.readRaw(byteCount: Int(header.text) ?? 0).text)
            }
        }
        test.feed("3\na\nb0\n12\nhello, world", cut: cut)
        test.halfClose()
        #expect(notes.lines == ["a\nb", "", "hello, world", "end"])
    }

    @Test("a message or a body that the peer's end cuts off is an error, and one beyond the limit, too")
    func errors() {
        for (bytes, kind) in [("ab\ncd", "!unfinished"), ("ab\n0123456789", "!tooLong")] {
            let notes = Notes()
            let test = serve(notes) { connection in
                for try await line in connection.frames(LineFormat(limitBytes: 5)) { notes.lines.append(line.text) }
            }
            test.feed(bytes, cut: .every(2))
            test.halfClose()
            #expect(notes.lines == ["ab", kind])
        }
        let notes = Notes()
        let test = serve(notes) { connection in _ = try await connection.frames(LineFormat()).readRaw(byteCount: 9) }
        test.feed("short")
        test.halfClose()
        #expect(notes.lines == ["!unfinished"])
    }

    @Test("nextAll gives what has come together, and an error only when the messages before it were given out")
    func batches() {
        let notes = Notes()
        let test = serve(notes) { connection in
            let reader = connection.frames(LineFormat(limitBytes: 5))
            while let lines = try await reader.nextAll() {
                notes.lines.append(lines.map(\.text).joined(separator: "+"))
            }
        }
        test.feed("a\nb\nc")
        test.feed("\n")
        test.feed("d\ntoo long\n")
        #expect(notes.lines == ["a+b", "c", "d", "!tooLong"])
    }

    @Test("readFrames shows every message of what came, and says when no more comes")
    func readFrames() {
        let notes = Notes()
        let test = serve(notes) { connection in
            let framing = Framing(LengthPrefixFormat<UInt8>())
            while try await connection.readFrames(
                framing,
                { frame in
                    notes.lines.append(ByteChunk(copying: frame).text)
                    connection.write(frame)
                }
            ) {}
        }
        test.feed([2, 65, 66, 0, 1, 67], cut: .every(4))
        #expect(test.takeText() == "ABC")
        test.halfClose()
        #expect(notes.lines == ["AB", "", "C", "end"])
    }

    @Test("a message that its format refuses is not written")
    func write() {
        let notes = Notes()
        let test = serve(notes) { connection in
            try await connection.writeFrame("fine".utf8.span, as: NetstringFormat(limitBytes: 4))
            try await connection.writeFrame("longer".utf8.span, as: NetstringFormat(limitBytes: 4))
        }
        #expect(test.takeText() == "4:fine,")
        #expect(notes.lines == ["!tooLong"])
    }

    @Test("a drain in the middle of a message is the end, and no error: what was written is sent")
    func drain() {
        let notes = Notes()
        let test = serve(notes) { connection in
            for try await line in connection.frames(LineFormat()) {
                notes.lines.append(line.text)
                try await connection.write([UInt8](repeating: 1, count: 20_000))
            }
        }
        test.setWindow(byteCount: 1000)
        test.feed("request\nhalf of the nex")
        test.perform { $0.drain {} }
        #expect(notes.lines == ["request", "end"])
        test.setWindow(byteCount: .max)
        #expect(test.take().count == 20_000 && test.error == nil)
    }

    @Test("after a refused message nothing is taken for one, and the error stays", arguments: [Cut.whole, .every(9)])
    func afterFailure(cut: Cut) {
        let notes = Notes()
        let test = serve(notes) { connection in
            let reader = connection.frames(LineFormat(limitBytes: 10))
            for _ in 0..<3 {
                do { notes.lines.append(try await reader.next()?.text ?? "nil") } catch let error as FramingError {
                    notes.lines.append("!\(error.kind)")
                }
            }
        }
        test.feed("QUIT? no, but long\nok\n", cut: cut)
        #expect(notes.lines == ["!tooLong", "!tooLong", "!tooLong", "end"])
    }

    @Test("raw bytes, and the beginning of a message, that came before a time limit passed are not lost")
    func timeLimit() {
        let notes = Notes()
        let test = serve(notes) { connection in
            let reader = connection.frames(LineFormat())
            for step in 0..<3 {
                // The task is on the connection's reactor, as the reader is.
                nonisolated(unsafe) let reader = reader
                do {
                    let text = try await connection.withTimeout(.seconds(1)) { _ in
                        step == 1
                            ? try await unsafe reader.next()?.text : try await unsafe reader.readRaw(byteCount: 10).text
                    }
                    notes.lines.append(text ?? "nil")
                } catch is TimedOut { notes.lines.append("timed out") }
            }
        }
        test.feed("01234")
        test.advance(by: .seconds(1.1))
        test.feed("56")
        test.advance(by: .seconds(1.1))
        test.feed("789abc")
        #expect(notes.lines == ["timed out", "timed out", "0123456789", "end"])
    }
}
