// SPDX-License-Identifier: Apache-2.0

import Spindle
import SpindleSystem
import Testing

extension EngineTests.Passing {
    @Test("descriptors go with the first byte of a file that is written next")
    func sentWithFile() async throws {
        final class Sending: StreamProtocol {
            let transport: any StreamTransport
            let file: FileRegion
            let identities: Recorder<String>
            init(_ transport: any StreamTransport, _ file: FileRegion, _ identities: Recorder<String>) {
                (self.transport, self.file, self.identities) = (transport, file, identities)
            }
            typealias Failure = any Error
            func connectionMade() throws {
                try send(Pipe())
                transport.write("<>")
                try send(Pipe())
                transport.loseConnection()
            }
            private func send(_ pipe: Pipe) throws {
                identities.add(EngineTests.Passing.identity(of: pipe.reading))
                try transport.pass([pipe.reading])
                transport.write(file)
            }
            func dataReceived(_ bytes: Span<UInt8>) {}
        }
        let server = try engine(reactors: 1)
        let name = EngineTests.Passing.name("file")
        let file = try FileRegion(path: #filePath)
        let expected = try file.read(atMost: file.count)
        let identities = Recorder<String>()
        try server.listen(on: name) { Sending($0, file, identities) }
        try await server.start()
        let peer = try EngineTests.Passing.connect(to: name)
        let (bytes, passed) = EngineTests.Passing.receiveAll(over: peer)
        #expect(bytes == expected + Array("<>".utf8) + expected)
        #expect(passed.map { EngineTests.Passing.identity(of: $0.1.rawValue) } == identities.values)
        if let last = passed.last { #expect(last.at > expected.count + 2) }
        peer.close()
        await server.stop()
    }
}
