// SPDX-License-Identifier: Apache-2.0

import SpindleSystem
import Testing

@testable import Spindle

extension EngineTests {
    @Suite("connections of this side") struct Connections {
        @Test("withConnection talks to a server from anywhere, by name and by address", arguments: reactorCounts)
        func withConnection(reactors: Int) async throws {
            let server = try engine(reactors: reactors)
            let address = try server.listen(on: .any(port: 0)) { Echo($0) }.address
            try await server.start()
            for target in [
                ConnectTarget.address(.loopback(port: address.port)), .host("localhost", port: address.port),
            ] {
                let answer = try await server.withConnection(to: target) { connection in
                    try await connection.write("hello")
                    var text = ""
                    while text.utf8.count < 5, let chunk = try await connection.read() { text += chunk.text }
                    return text
                }
                #expect(answer == "hello")
            }
            await server.stop()
        }

        @Test("a name that the system does not know is an error that says so")
        func unknownName() async throws {
            let client = try engine(reactors: 1)
            try await client.start()
            let error = await #expect(throws: ConnectError.self) {
                try await client.withConnection(to: .host("does-not-exist.invalid", port: 1)) { _ in }
            }
            #expect(error.map { "\($0)".contains("does-not-exist.invalid can't be looked up") } == true)
            await client.stop()
        }

        @Test("a body that throws resets its connection, and its error comes out")
        func throwing() async throws {
            struct Planned: Error {}
            let ends = Recorder<String>()
            let ended = Gate()
            final class Watching: StreamProtocol {
                let transport: any StreamTransport
                let told: @Sendable (DisconnectReason) -> Void
                init(_ transport: any StreamTransport, _ told: @escaping @Sendable (DisconnectReason) -> Void) {
                    self.transport = transport
                    self.told = told
                }
                func dataReceived(_ bytes: Span<UInt8>) {}
                func connectionLost(_ reason: DisconnectReason) { told(reason) }
            }
            let server = try engine(reactors: 1)
            let address = try server.listen(on: .loopback(port: 0)) { transport in
                Watching(transport) {
                    ends.add("\($0)")
                    ended.arrive()
                }
            }.address
            try await server.start()
            await #expect(throws: Planned.self) {
                try await server.withConnection(to: .address(address)) { _ in throw Planned() }
            }
            await ended.wait()
            #expect(ends.values == ["lost: \(Errno.connectionReset)"])
            await server.stop()
        }

        @Test("a cancelled task waits for no connection")
        func cancelled() async throws {
            let client = try engine(reactors: 1)
            try await client.start()
            // Somebody who listens and does not accept, with a full queue, answers nobody.
            let silent = try StreamSocket.open(for: .loopback(port: 0))
            try silent.bind(to: .loopback(port: 0))
            try silent.listen(backlog: 0)
            let address = try silent.localAddress()
            let filler = try StreamSocket.open(for: address)
            try filler.connect(to: address)
            let begun = Gate()
            let task = Task {
                try await client.withConnection(to: .address(address)) { _ in }
            }
            client.reactors[0].submit { begun.arrive() }
            await begun.wait()
            task.cancel()
            await #expect(throws: CancellationError.self) { try await task.value }
            filler.close()
            silent.close()
            await client.stop()
        }

        @Test("an engine that does not run connects nobody")
        func notRunning() async throws {
            let client = try engine(reactors: 1)
            try await client.start()
            await client.stop()
            let error = await #expect(throws: ConnectError.self) {
                try await client.withConnection(to: .address(.loopback(port: 1))) { _ in }
            }
            #expect(error.map { "\($0.reason)" } == "the engine stopped")
        }
    }
}
