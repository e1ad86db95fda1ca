// SPDX-License-Identifier: Apache-2.0

import SpindleCore
import Testing

@testable import SpindleSystem

@Suite struct StreamSocketTests {
    /// Two ends of a loopback connection, closed at the end.
    private func withPair(_ body: (StreamSocket, StreamSocket) throws -> Void) throws {
        let listener = try StreamSocket.open(for: .loopback(port: 0))
        defer { listener.close() }
        try listener.bind(to: .loopback(port: 0))
        try listener.listen(backlog: 8)
        let client = try StreamSocket.open(for: .loopback(port: 0))
        defer { client.close() }
        try client.connect(to: try listener.localAddress())
        let (server, peer) = try listener.accept()
        defer { server.close() }
        #expect(peer == (try client.localAddress()))
        try body(client, server)
    }

    private func receive(_ socket: StreamSocket) -> StreamSocket.Transfer {
        var buffer = [UInt8](repeating: 0, count: 64)
        return unsafe buffer.withUnsafeMutableBytes { unsafe socket.receive(into: $0) }
    }

    private func send(_ bytes: [UInt8], _ socket: StreamSocket) -> StreamSocket.Transfer {
        unsafe bytes.withUnsafeBytes { unsafe socket.send($0) }
    }

    @Test("bytes, nothing yet, and the end are told apart; the other direction goes on")
    func transfers() throws {
        try withPair { client, server in
            #expect(receive(server) == .wouldBlock)
            #expect(send([1, 2, 3], client) == .bytes(3))
            #expect(receive(server) == .bytes(3))
            client.shutdownWrites()
            #expect(receive(server) == .end)
            #expect(send([9], server) == .bytes(1))
            #expect(receive(client) == .bytes(1))
        }
    }

    @Test("sending into an ended direction is an answer, not a SIGPIPE")
    func brokenPipe() throws {
        try withPair { client, _ in
            client.shutdownWrites()
            #expect(send([1], client) == .failed(.brokenPipe))
        }
    }

    @Test("a socket without a peer, and an address of another machine, fail with the kernel's word for it")
    func unconnected() throws {
        let socket = try StreamSocket.open(for: .loopback(port: 0))
        defer { socket.close() }
        #expect(throws: Errno.self) { try socket.peerAddress() }
        #expect(throws: Errno.addressNotAvailable) { try socket.bind(to: .ipv4(0x0102_0304, port: 0)) }
    }

    @Test("IPv4, IPv6 and its zones are read and printed; names and nonsense are not")
    func addresses() {
        // tidy: allow banned: compared only, nothing listens
        #expect(SocketAddress(numericHost: "127.0.0.1", port: 80) == .loopback(port: 80))
        // tidy: allow banned: compared only, nothing listens
        #expect(SocketAddress(numericHost: "::1", port: 80) == .loopback6(port: 80))
        // tidy: allow banned: compared only, nothing listens
        #expect(SocketAddress(numericHost: "::ffff:127.0.0.1", port: 80) == .loopback(port: 80))
        #expect(SocketAddress(numericHost: "fe80::1%2", port: 0)?.host == "fe80::1%2")
        #expect(SocketAddress(numericHost: "fe80::1%lo", port: 0)?.host == "fe80::1%1")
        for wrong in ["", "localhost", "127.0.0", "127.0.0.1.2", "1::2::3", "127.0.0.1%1", "::1%nowhere", "[::1]"] {
            #expect(SocketAddress(numericHost: wrong, port: 0) == nil, "\(wrong)")
        }
    }
}
