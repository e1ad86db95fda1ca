// SPDX-License-Identifier: Apache-2.0

import SpindleCore
import SpindleProtocols
import SpindleReactor
import SpindleSimulation
import SpindleTesting
import Testing

@Suite("framed protocols")
struct FramedProtocolTests {
    @Test("C52: after loseConnection in a frame's callback the rest of what came is not delivered")
    func loseConnection() {
        let test = CollectorTest(LineFormat()) {
            $0.onFrame = { collector, line in if line == "stop" { collector.transport.loseConnection() } }
        }
        test.connection.feed("go\nstop\nlate\n")
        test.connection.feed("later\n")
        #expect(test.heard == ["go", "stop"])
    }

    @Test("C52: a pause in a frame's callback stops delivery, and resume goes on where it stopped")
    func pause() {
        let test = CollectorTest(LineFormat()) {
            $0.onFrame = { collector, _ in collector.transport.pauseProducing() }
        }
        test.connection.feed("one\ntwo\nthree\nfour", cut: .at([2, 9]))
        test.connection.feed("\n")
        for round in 1...4 {
            #expect(test.heard == Array(["one", "two", "three", "four"][..<round]))
            test.connection.perform { _ in test.collector.transport.resumeProducing() }
        }
        #expect(test.heard.count == 4)
    }

    @Test("C52: what a pause held back is delivered before the peer's end is told")
    func pauseAndEnd() {
        let test = CollectorTest(LineFormat()) {
            $0.onFrame = { collector, line in
                if line == "one" { collector.transport.pauseProducing() }
                collector.transport.write("\(line);")
            }
        }
        test.connection.feed("one\ntwo\nthree\n")
        test.connection.halfClose()
        #expect(test.heard == ["one"])
        test.connection.perform { _ in test.collector.transport.resumeProducing() }
        #expect(test.heard == ["one", "two", "three"])
        #expect(test.connection.takeText() == "one;two;three;")
        #expect(test.connection.isAtEnd)
    }

    @Test("C52: pause and resume in one callback lose nothing and change no order")
    func pauseAndResume() {
        let test = CollectorTest(LineFormat()) {
            $0.onFrame = { collector, _ in
                collector.transport.pauseProducing()
                collector.transport.resumeProducing()
            }
        }
        test.connection.feed("one\ntwo\nthree\n")
        #expect(test.heard == ["one", "two", "three"])
    }

    @Test("C52: raw bytes and frames change places within a piece, however it is cut")
    func rawMode() {
        let stream = "data 5\nab\ncd\nnext\ndata *\nraw.rest\n"
        for cut in [Cut.whole] + (1..<stream.utf8.count).map({ .every($0) }) {
            let test = CollectorTest(LineFormat()) {
                $0.onFrame = { collector, line in
                    switch line {
                    case "data 5": collector.framing.readRaw(byteCount: 5)
                    case "data *": collector.framing.readRaw()
                    default: break
                    }
                }
                $0.onRaw = { collector, piece in
                    guard let dot = piece.firstIndex(of: ".") else { return }
                    collector.framing.readFrames(unread: piece[dot...].utf8.count - 1)
                }
            }
            test.connection.feed(stream, cut: cut)
            // The piece with the dot was shown to its end; what was put back came again as a frame.
            let heard = test.heard.map { $0.hasPrefix("~raw.") ? "~raw." : $0 }
            #expect(heard == ["data 5", "~ab\ncd", "", "next", "data *", "~raw.", "rest"], "cut \(cut)")
        }
    }

    @Test("C52: a pause while bytes are raw holds the rest back, as raw")
    func rawPause() {
        let test = CollectorTest(LineFormat()) {
            $0.onFrame = { collector, line in
                if line == "data" {
                    collector.framing.readRaw(byteCount: 6)
                    collector.transport.pauseProducing()
                }
            }
        }
        test.connection.feed("data\nabc\ndefg\n")
        #expect(test.heard == ["data"])
        test.connection.perform { _ in test.collector.transport.resumeProducing() }
        #expect(test.heard == ["data", "~abc\nde", "fg"])
    }

    @Test("C52: many frames in one piece do not nest callbacks")
    func depth() {
        let test = CollectorTest(LineFormat())
        test.connection.feed(String(repeating: "x\n", count: 30_000))
        #expect(test.heard.count == 30_000)
        #expect(test.collector.deepest == 1)
    }

    @Test("C52, C53: what is beyond the limit closes the connection by default, and nothing follows")
    func tooLong() {
        let test = CollectorTest(LineFormat(limitBytes: 4))
        test.connection.feed("abc\nabcdefgh\nx\n")
        #expect(test.heard == ["abc", "!tooLong"])
        #expect(test.connection.isAtEnd)
        let prefixed = CollectorTest(LengthPrefixFormat<UInt8>(limitBytes: 2))
        prefixed.connection.feed([1, 65, 3, 66])
        #expect(prefixed.heard == ["A", "!tooLong"])
        #expect(prefixed.connection.isAtEnd)
    }

    @Test("who does not close after a failure gets nothing more, and can still write")
    func goesOnAfterFailure() {
        let test = CollectorTest(LineFormat(limitBytes: 4)) {
            $0.onFailure = { $0.transport.write("line too long\n") }
        }
        test.connection.feed("abcdefgh\nx\ny\n", cut: .every(3))
        #expect(test.heard == ["!tooLong"])
        #expect(test.connection.takeText() == "line too long\n")
    }

    @Test("an error in a frame's callback ends the connection; the rest of the piece is not delivered")
    func throwing() {
        struct Planned: Error {}
        let test = CollectorTest(LineFormat()) { $0.onFrame = { _, _ in throw Planned() } }
        test.connection.feed("one\ntwo\n")
        #expect(test.heard == ["one"])
        #expect(test.connection.isClosed)
    }

    @Test("bytes that are put back come again first, once, in any number of pieces")
    func unread() {
        final class Reluctant: StreamProtocol {
            let transport: any StreamTransport
            var heard = ""
            init(_ transport: any StreamTransport) { self.transport = transport }
            func dataReceived(_ bytes: Span<UInt8>) {
                // One byte is enough for now.
                heard += ByteChunk(copying: bytes.extracting(first: 1)).text
                transport.unread(bytes.extracting(droppingFirst: 1))
            }
        }
        let test = ScriptedConnection { Reluctant($0) }
        let text = String(repeating: "to and fro ", count: 20)
        test.feed(text, cut: .random(seed: 3))
        test.halfClose()
        #expect((test.proto as? Reluctant)?.heard == text)
        #expect(test.isAtEnd)
    }

    @Test("what a closing connection puts back is dropped")
    func unreadWhileClosing() {
        final class Leaving: StreamProtocol {
            let transport: any StreamTransport
            var count = 0
            init(_ transport: any StreamTransport) { self.transport = transport }
            func dataReceived(_ bytes: Span<UInt8>) {
                count += 1
                transport.loseConnection()
                transport.unread(bytes)
            }
        }
        let test = ScriptedConnection { Leaving($0) }
        test.feed("bye")
        #expect((test.proto as? Leaving)?.count == 1)
        #expect(test.isAtEnd)
    }

    @Test("what a piece still has when a frame's callback hands the connection off goes along, in order")
    func handOff() throws {
        final class Raw: StreamProtocol {
            let transport: any StreamTransport
            let heard: Heard
            init(_ transport: any StreamTransport, _ heard: Heard) { (self.transport, self.heard) = (transport, heard) }
            func dataReceived(_ bytes: Span<UInt8>) { heard.text += ByteChunk(copying: bytes).text }
        }
        // Sendable: all reactors of a simulation run on the test's own thread.
        final class Heard: @unchecked Sendable { var text = "" }
        let network = SimulatedNetwork()
        let scheduler = SimulatedScheduler(reactorCount: 2, network: network)
        let (heard, target) = (Heard(), scheduler.reactors[1].handle)
        let address = try scheduler.listen(at: .loopback(port: 0), on: [0]) { _ in
            ClosureFactory { transport in
                let collector = FrameCollector(transport, LineFormat())
                collector.onFrame = { collector, line in
                    guard line == "go" else { return }
                    #expect(collector.transport.handOff(to: target, unread: ByteChunk("first;")) { Raw($0, heard) })
                }
                return collector
            }
        }
        let client = network.connect(to: address)
        scheduler.run(noLaterThan: network.now)
        client.send("go\nsecond;third")
        scheduler.run(noLaterThan: network.now)
        client.send(";fourth")
        scheduler.run(noLaterThan: network.now)
        #expect(heard.text == "first;second;third;fourth")
        client.close()
        scheduler.run(noLaterThan: network.now.advanced(by: .seconds(2)))
        scheduler.stopListening()
        scheduler.run()
    }
}
