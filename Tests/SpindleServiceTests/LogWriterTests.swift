// SPDX-License-Identifier: Apache-2.0

import Glibc
import Logging
import SpindleSystem
import Testing

@testable import SpindleService

/// A pipe: what is written to one end is read from the other.
private final class Pipe: Sendable {
    let reading: CInt
    let writing: CInt
    private let isClosed = Guarded(false)

    init() {
        var ends: [CInt] = [0, 0]
        precondition(unsafe pipe(&ends) == 0)
        (reading, writing) = (ends[0], ends[1])
    }

    /// Everything, once the writing end is closed.
    func readAll() -> String {
        close(writing)
        var bytes: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = unsafe read(reading, &piece, piece.count)
            if count <= 0 { break }
            bytes += piece.prefix(count)
        }
        close(reading)
        return String(decoding: bytes, as: UTF8.self)
    }
}

@Suite("The log's own thread", .timeLimit(.minutes(1)))
struct LogWriterTests {
    private func line(_ level: Logger.Level, _ message: String, _ metadata: Logger.Metadata = [:]) -> LogLine {
        LogLine(microseconds: 1_000_000_000_123_456, level: level, label: "l", message: message, metadata: metadata)
    }

    @Test("a line of text has time, level, label, whom it is about, and what")
    func text() {
        let metadata: Logger.Metadata = ["z": "a b", "peer": "127.0.0.1:5", "connection": "7", "reactor": "0", "e": ""]
        let pairs = #"reactor=0 connection=7 peer=127.0.0.1:5 e="" z="a b""#
        #expect(
            line(.warning, "what", metadata).text(.text) == "2001-09-09T01:46:40.123456Z warning l \(pairs): what\n"
        )
    }

    @Test("what a peer sent looks like no other pair of a line")
    func forged() {
        let written = line(.info, "m", ["name": "x\" peer=\"1"]).text(.text)
        #expect(written.contains(#" name="x\" peer=\"1": m"#))
    }

    @Test("a line of JSON is one object, with reactor and connection as numbers")
    func json() {
        let metadata: Logger.Metadata = ["list": ["a", "b"], "reactor": "0", "connection": "7", "map": ["k": "v"]]
        #expect(
            line(.error, "a \"b\"\n", metadata).text(.json)
                == #"{"time":"2001-09-09T01:46:40.123456Z","level":"error","label":"l","reactor":0,"connection":7,"#
                + #""message":"a \"b\"\n","metadata":{"list":["a","b"],"map":{"k":"v"}}}"# + "\n"
        )
    }

    @Test(
        "what a peer sent cannot begin a line of its own, nor move a terminal's cursor",
        arguments: [
            "\n", "\r", "\u{1b}[2J", "\u{85}", "\u{2028}", "\u{0}",
        ]
    )
    func control(text: String) {
        let written = line(.info, "a\(text)b", ["k\(text)": "v\(text)"]).text(.text)
        #expect(written.unicodeScalars.filter { $0.value < 0x20 || (0x7F...0x9F).contains($0.value) } == ["\n"])
        #expect(!written.unicodeScalars.contains("\u{2028}"))
        #expect(written.hasSuffix("b\n"))
    }

    @Test("what is logged before the start is kept, and shown as far as the level asks for it")
    func early() throws {
        let (writer, pipe) = (try LogWriter(), Pipe())
        let logger = Logger(label: "early", factory: writer.handler)
        logger.debug("first")
        logger.warning("second")
        var verbose = logger
        verbose.logLevel = .debug
        verbose.debug("third")
        try writer.start(level: .info, descriptor: pipe.writing)
        logger.debug("fourth")
        logger.info("fifth")
        #expect(writer.stop())
        logger.info("sixth")
        let words = pipe.readAll().split(separator: "\n").map { $0.split(separator: " ").last ?? "" }
        #expect(words == ["second", "third", "fifth", "sixth"])
        #expect(writer.lostCount == 0)
    }

    @Test("metadata of the logger, of its provider and of the line come together, the nearest wins")
    func metadata() throws {
        let (writer, pipe) = (try LogWriter(), Pipe())
        try writer.start(descriptor: pipe.writing)
        let provider = Logger.MetadataProvider { ["a": "p", "b": "p", "c": "p"] }
        var logger = Logger(label: "m") { writer.providingHandler(label: $0, metadataProvider: provider) }
        logger[metadataKey: "a"] = "l"
        logger.info("x", metadata: ["b": "line"])
        writer.stop()
        #expect(pipe.readAll().hasSuffix(" info m a=p b=line c=p: x\n"))
    }

    @Test("a reader that does not read makes nobody wait: what has no room is dropped, counted, and said")
    func stalledReader() throws {
        let (writer, pipe) = (try LogWriter(capacity: 100), Pipe())
        try writer.start(descriptor: pipe.writing)
        let logger = Logger(label: "s", factory: writer.handler)
        let text = String(repeating: "x", count: 1000)
        // The pipe holds 64 KiB, the queue 100 lines: this returns because nobody waits.
        for _ in 0..<2_000 { logger.info("\(text)") }
        #expect(!writer.stop(within: .zero))
        let written = readingToEnd(pipe, writer)
        let lines = written.split(separator: "\n")
        let full = lines.filter { $0.hasSuffix(text) }.count
        let dropped = lines.filter { $0.contains("lines were lost: 100 waited") }
            .compactMap { $0.split(separator: " ").dropFirst(3).first.flatMap { Int($0) } }.reduce(0, +)
        #expect(full + dropped == 2_000)
        #expect(dropped > 0)
        #expect(writer.lostCount == dropped)
    }

    /// Reads what the writer's thread still has to write, until it is done.
    private func readingToEnd(_ pipe: Pipe, _ writer: LogWriter) -> String {
        var bytes: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: 1 << 16)
        var isDone = false
        while true {
            if !isDone { isDone = writer.stop(within: .zero) }
            var waiting = pollfd(fd: pipe.reading, events: Int16(POLLIN), revents: 0)
            guard unsafe poll(&waiting, 1, 0) > 0 else {
                if isDone { break }
                SystemThread.yield()
                continue
            }
            let count = unsafe read(pipe.reading, &piece, piece.count)
            bytes += piece.prefix(count)
        }
        _ = pipe.readAll()
        return String(decoding: bytes, as: UTF8.self)
    }

    @Test(
        "a full disk and a reader that is gone lose lines, which are counted, and nothing else",
        arguments: [true, false]
    )
    func unwritable(isDisk: Bool) throws {
        let writer = try LogWriter()
        let pipe = Pipe()
        let target = unsafe isDisk ? open("/dev/full", O_WRONLY) : pipe.writing
        if !isDisk { close(pipe.reading) }
        try writer.start(descriptor: target)
        Logger(label: "d", factory: writer.handler).info("lost")
        #expect(writer.stop())
        #expect(writer.lostCount == 1)
        // From this thread now: a reader that is gone must not end the process here either.
        Logger(label: "d", factory: writer.handler).info("late")
        #expect(writer.lostCount == 2)
        close(target)
    }

    @Test("what is dropped is said as soon as there is room, without another line and without a stop")
    func saidSoon() async throws {
        for _ in 0..<200 {
            let (writer, pipe) = (try LogWriter(capacity: 1), Pipe())
            try writer.start(descriptor: pipe.writing)
            await withTaskGroup { group in
                for thread in 0..<4 {
                    group.addTask {
                        let logger = Logger(label: "\(thread)", factory: writer.handler)
                        for number in 0..<6 { logger.info("\(number)") }
                    }
                }
            }
            var bytes: [UInt8] = []
            var piece = [UInt8](repeating: 0, count: 1 << 16)
            func said() -> Int {
                let lines = String(decoding: bytes, as: UTF8.self).split(separator: "\n")
                return lines.reduce(0) { sum, line in
                    sum + (line.contains("lines were lost") ? Int(line.split(separator: " ")[3]) ?? 0 : 1)
                }
            }
            // Blocks until there is something: the test's time limit ends it when something stays unsaid.
            while said() < 24 {
                let count = unsafe read(pipe.reading, &piece, piece.count)
                bytes += piece.prefix(count)
            }
            #expect(said() == 24)
            writer.stop()
            _ = pipe.readAll()
        }
    }

    @Test("lines of four threads all arrive, each thread's in order")
    func threads() async throws {
        let (writer, pipe) = (try LogWriter(capacity: 1 << 20), Pipe())
        let reader = Task.detached { () -> String in
            var bytes: [UInt8] = []
            var piece = [UInt8](repeating: 0, count: 1 << 16)
            while true {
                let count = unsafe read(pipe.reading, &piece, piece.count)
                if count <= 0 { return String(decoding: bytes, as: UTF8.self) }
                bytes += piece.prefix(count)
            }
        }
        try writer.start(descriptor: pipe.writing)
        await withTaskGroup { group in
            for thread in 0..<4 {
                group.addTask {
                    let logger = Logger(label: "\(thread)", factory: writer.handler)
                    for number in 0..<2_000 { logger.info("\(number)") }
                }
            }
        }
        #expect(writer.stop(within: .seconds(30)))
        close(pipe.writing)
        let lines = await reader.value.split(separator: "\n")
        close(pipe.reading)
        #expect(lines.count == 8_000)
        for thread in 0..<4 {
            let numbers = lines.filter { $0.contains(" \(thread): ") }.compactMap {
                Int($0.split(separator: " ").last ?? "")
            }
            #expect(numbers == Array(0..<2_000))
        }
    }
}
