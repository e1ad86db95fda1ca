// SPDX-License-Identifier: Apache-2.0

import Glibc
import SpindleSystem
import Testing

@testable import Spindle

extension EngineTests {
    @Suite("options of sockets") struct SocketOptions {
        /// Runs `look` on a connection that was accepted at `address`.
        private func withAccepted(
            at address: SocketAddress = .loopback(port: 0),
            options: ListenOptions = ListenOptions(),
            _ look: @escaping @Sendable (any StreamTransport) throws -> Void
        ) async throws {
            let server = try engine(reactors: 1)
            let looked = Gate()
            let bound = try server.listen(on: address, options: options) { transport in
                defer { looked.arrive() }
                do { try look(transport) } catch { Issue.record(error) }
                return Echo(transport)
            }.address
            try await server.start()
            let client = try await Client()
            #expect(await client.exchange([1], with: bound).received == [1])
            await looked.wait()
            await client.stop()
            await server.stop()
        }

        private static func holds<Value: Equatable & Sendable>(
            _ option: SocketOption<Value>,
            _ value: Value,
            as read: Value? = nil,
            on transport: any StreamTransport
        ) throws {
            try transport.set(option, to: value)
            #expect(try transport.value(of: option) == read ?? value, "\(option.name)")
        }

        @Test(
            "each option is read back as it was set, rounded up to the kernel's unit",
            arguments: [SocketAddress.loopback(port: 0), .loopback6(port: 0)]
        )
        func roundTrip(address: SocketAddress) async throws {
            try await withAccepted(at: address) { transport in
                func holds<Value: Equatable & Sendable>(
                    _ option: SocketOption<Value>,
                    _ value: Value,
                    as read: Value? = nil
                ) throws {
                    try SocketOptions.holds(option, value, as: read, on: transport)
                }
                try holds(.noDelay, false)
                try holds(.quickAck, true)
                try holds(.keepAlive, true)
                try holds(.keepAliveIdle, .milliseconds(29_001), as: .seconds(30))
                try holds(.keepAliveInterval, .seconds(7))
                try holds(.keepAliveCount, 4)
                try holds(.userTimeout, .microseconds(1_499_500), as: .milliseconds(1500))
                try holds(.notSentLowWatermark, 16_384)
                try holds(.sendBuffer, 50_000, as: 100_000)
                try holds(.receiveBuffer, 60_000, as: 120_000)
                try holds(.dscp, 46)
                try holds(.dscp, 0)
                #expect(try transport.value(of: .incomingCPU) >= -1)
                #expect(!transport.noDelay && transport.keepAlive)
            }
        }

        @Test("a refusal says which option, what the kernel says, and what to do")
        func refusals() async throws {
            try await withAccepted { transport in
                #expect(throws: SocketOptionError(.keepAliveCount, .invalidArgument)) {
                    try transport.set(.keepAliveCount, to: 0)
                }
                #expect(throws: SocketOptionError(.dscp, .invalidArgument)) { try transport.set(.dscp, to: 64) }
                #expect(throws: SocketOptionError(.userTimeout, .invalidArgument)) {
                    try transport.set(.userTimeout, to: .seconds(-1))
                }
                #expect(throws: SocketOptionError(.keepAliveIdle, .invalidArgument)) {
                    try transport.set(.keepAliveIdle, to: .seconds(1 << 40))
                }
            }
        }

        @Test("Unix sockets have buffers, and no options of TCP or IP")
        func unix() async throws {
            try await withAccepted(at: .unix("@spindle-options-\(getpid())")) { transport in
                try SocketOptions.holds(.sendBuffer, 50_000, as: 100_000, on: transport)
                let error = #expect(throws: SocketOptionError.self) { try transport.set(.keepAliveCount, to: 3) }
                #expect(error == SocketOptionError(.keepAliveCount, .notSupported))
                #expect("\(error!)".contains("TCP_KEEPCNT is refused") && "\(error!)".contains("kind of socket"))
                #expect(throws: SocketOptionError(.dscp, .notSupported)) { try transport.value(of: .dscp) }
                #expect(!transport.noDelay)
                #expect(try transport.value(of: .incomingCPU) == -1, "no packet has come, and that is no error")
            }
        }

        @Test("what a listener has its connections have; one that it can't have fails the listening, by name")
        func listeners() async throws {
            var options = ListenOptions()
            options.settings = [
                SocketSetting(.keepAliveIdle, .seconds(33))!, SocketSetting(.receiveBuffer, 40_000)!,
                SocketSetting(.fastOpen, 16)!, SocketSetting(.deferAccept, .seconds(1))!, SocketSetting(.dscp, 10)!,
            ]
            try await withAccepted(options: options) { transport in
                let (idle, dscp) = (try transport.value(of: .keepAliveIdle), try transport.value(of: .dscp))
                let receiveBuffer = try transport.value(of: .receiveBuffer)
                #expect(idle == .seconds(33) && dscp == 10 && receiveBuffer == 80_000)
            }
            let server = try engine(reactors: 2)
            let name = SocketAddress.unix("@spindle-refused-\(getpid())")
            let error = #expect(throws: ListenError.self) {
                try server.listen(on: name, options: options) { Echo($0) }
            }
            #expect(error == ListenError(address: name, errno: .notSupported, option: .keepAliveIdle))
            #expect("\(error!)".contains("TCP_KEEPIDLE is refused"))
        }

        @Test("a connection of this side has its options before it connects; a refusal fails it, by name")
        func clients() async throws {
            let server = try engine(reactors: 1)
            let tcp = try server.listen(on: .loopback(port: 0)) { Echo($0) }.address
            let unix = try server.listen(on: .unix("@spindle-client-\(getpid())")) { Echo($0) }.address
            try await server.start()
            var options = ConnectOptions()
            options.settings = [SocketSetting(.userTimeout, .seconds(9))!, SocketSetting(.fastOpenConnect, true)!]
            let answer = try await server.withConnection(to: .address(tcp), options: options) { connection in
                let timeout = try connection.value(of: .userTimeout)
                #expect(timeout == .seconds(9))
                try connection.set(.quickAck, to: true)
                try await connection.write("x")
                let chunk = try await connection.read()
                return chunk?.text
            }
            #expect(answer == "x")
            let error = await #expect(throws: ConnectError.self) {
                try await server.withConnection(to: .address(unix), options: options) { _ in }
            }
            #expect(error.map { "\($0)".contains("TCP_USER_TIMEOUT is refused") } == true)
            await server.stop()
        }

        @Test("options stand in the text of endpoints and targets, and what is out of range is refused there")
        func text() async throws {
            let registry = PluginRegistry()
            let route = try registry.makeRoute(
                "tcp:127.0.0.1:80:keep-alive=30s:user-timeout=250ms:dscp=46:send-buffer=64KiB"
            )
            #expect(
                route.options.settings.map(\.description).sorted() == [
                    "DSCP=46", "SO_KEEPALIVE=1", "SO_SNDBUF=65536", "TCP_KEEPIDLE=30", "TCP_USER_TIMEOUT=250",
                ]
            )
            for (text, said) in [
                ("tcp:127.0.0.1:80:dscp=64", "from 0 to 63"), ("tcp:127.0.0.1:80:keep-alive=0s", "allowed is a time"),
                ("tcp:127.0.0.1:80:keep-alive=3000000000s", "TCP_KEEPIDLE"),
                ("tcp:127.0.0.1:80:keepalive=1s", "did you mean"), ("tcp:127.0.0.1:80:fast-open=1", "fast-open"),
            ] {
                let error = #expect(throws: (any Error).self) { try registry.makeRoute(text) }
                #expect(error.map { "\($0)".contains(said) } == true, "\(text): \(String(describing: error))")
            }
            let error = #expect(throws: (any Error).self) {
                try registry.makeEndpoint("tcp:0:defer-accept=3000000000s")
            }
            #expect(error.map { "\($0)".contains("TCP_DEFER_ACCEPT") } == true, "it is not left out")
        }
    }
}
