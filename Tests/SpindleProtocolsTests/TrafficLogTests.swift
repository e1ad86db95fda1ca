// SPDX-License-Identifier: Apache-2.0

import SpindleCore
import SpindleProtocols
import SpindleTesting
import Synchronization
import Testing

@Suite("traffic log")
struct TrafficLogTests {
    private final class Upper: StreamProtocol {
        let transport: any StreamTransport
        init(_ transport: any StreamTransport) { self.transport = transport }
        func dataReceived(_ bytes: Span<UInt8>) { transport.write(ByteChunk(copying: bytes).text.uppercased()) }
    }

    private final class Entries: Sendable {
        private let entries = Mutex<[String]>([])
        func add(_ entry: String) { entries.withLock { $0.append(entry) } }
        var all: [String] { entries.withLock { $0 } }
    }

    private func logged(limitBytes: Int = 256) -> (ScriptedConnection, Entries) {
        let entries = Entries()
        let test = ScriptedConnection { transport in
            let log = TrafficLog(transport, limitBytes: limitBytes) { entries.add($0) }
            log.inner = Upper(log)
            return log
        }
        return (test, entries)
    }

    @Test("what goes in and out is written down with its offset, and the end with its reason")
    func entries() {
        let (test, entries) = logged()
        test.feed("hello, world 1234")
        test.feed("\u{0}\u{7F}é")
        test.halfClose()
        #expect(test.takeText().hasPrefix("HELLO"))
        let texts = entries.all.map { $0.split(separator: ": ", maxSplits: 1).last.map(String.init) ?? "" }
        #expect(texts.count == 7)
        #expect(
            texts[1] == """
                received 17 bytes from offset 0
                00000000  68 65 6c 6c 6f 2c 20 77  6f 72 6c 64 20 31 32 33  |hello, world 123|
                00000010  34                                                |4|
                """
        )
        #expect(texts[2].hasPrefix("sent 17 bytes from offset 0\n00000000  48 45"))
        #expect(
            texts[3] == """
                received 4 bytes from offset 17
                00000011  00 7f c3 a9                                       |....|
                """
        )
        #expect(texts[5] == "the peer has ended its half" && texts[6] == "ended: done")
        #expect(entries.all.allSatisfy { $0.hasPrefix("connection 1 127.0.0.1:") })
    }

    @Test("a file is handed on as one, and its length written down")
    func files() throws {
        let file = try FileRegion(path: #filePath)
        let entries = Entries()
        var configuration = ReactorConfiguration()
        // As a copy it would be too long.
        (configuration.writeHighWatermarkBytes, configuration.writeLowWatermarkBytes) = (100, 10)
        configuration.writeLimitBytes = file.count / 2
        let test = ScriptedConnection(configuration) { transport in
            let log = TrafficLog(transport) { entries.add($0) }
            let inner = ProxiedConnection(log) { FileSender($0, file) }
            log.inner = inner
            return log
        }
        test.feed("PROXY UNKNOWN\r\n")
        #expect(test.takeText() == String(decoding: try file.read(atMost: file.count), as: UTF8.self))
        #expect(entries.all.contains { $0.hasSuffix("sent \(file.count) bytes of a file from offset 0") })
    }

    private final class FileSender: StreamProtocol {
        let transport: any StreamTransport
        let file: FileRegion
        init(_ transport: any StreamTransport, _ file: FileRegion) { (self.transport, self.file) = (transport, file) }
        func connectionMade() { transport.write(file) }
        func dataReceived(_ bytes: Span<UInt8>) {}
    }

    @Test("of a long piece a limited part is shown, and the rest counted")
    func limit() {
        let (test, entries) = logged(limitBytes: 4)
        test.feed(String(repeating: "x", count: 1000))
        #expect(entries.all[1].hasSuffix("|xxxx|\n… and 996 more"))
    }
}
