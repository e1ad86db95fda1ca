// SPDX-License-Identifier: Apache-2.0

import SpindleCore
import SpindleProtocols
import SpindleTesting
import Testing

@Suite("PROXY protocol")
struct ProxyTests {
    // The ports of headers, which nobody listens on.
    private static let sourcePort: UInt16 = 0xDC04
    private static let destinationPort: UInt16 = 0x01BB

    private static let ipv4 = ProxyHeader(
        ends: .init(
            source: .ipv4(0xC000_0201, port: sourcePort),
            destination: .ipv4(0xC633_640A, port: destinationPort)
        )
    )
    private static let ipv6 = ProxyHeader(
        ends: .init(
            source: .ipv6(high: 0x2001_0DB8_0000_0000, low: 1, port: sourcePort, scope: 0),
            destination: .ipv6(high: 0x2001_0DB8_0000_0000, low: 2, port: destinationPort, scope: 0)
        )
    )

    private static let signature: [UInt8] = [13, 10, 13, 10, 0, 13, 10, 0x51, 0x55, 0x49, 0x54, 10]

    private static func binary(_ command: UInt8, _ family: UInt8, _ body: [UInt8]) -> [UInt8] {
        signature + [command, family, UInt8(body.count >> 8), UInt8(body.count & 255)] + body
    }

    private static let ports: [UInt8] = [0xDC, 0x04, 0x01, 0xBB]
    private static let headers: [([UInt8], ProxyHeader)] = [
        (Array("PROXY TCP4 192.0.2.1 198.51.100.10 56324 443\r\n".utf8), ipv4),
        (Array("PROXY TCP6 2001:db8::1 2001:db8::2 56324 443\r\n".utf8), ipv6),
        (Array("PROXY UNKNOWN\r\n".utf8), ProxyHeader()),
        (Array("PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n".utf8), ProxyHeader()),
        (binary(0x21, 0x11, [192, 0, 2, 1, 198, 51, 100, 10] + ports), ipv4),
        (binary(0x21, 0x11, [192, 0, 2, 1, 198, 51, 100, 10] + ports + [4, 0, 1, 0]), ipv4),
        (
            binary(
                0x21,
                0x21,
                [0x20, 1, 0x0D, 0xB8] + [UInt8](repeating: 0, count: 11) + [1] + [0x20, 1, 0x0D, 0xB8]
                    + [UInt8](repeating: 0, count: 11) + [2] + ports
            ), ipv6
        ),
        (
            binary(
                0x21,
                0x21,
                [UInt8](repeating: 0, count: 10) + [255, 255, 192, 0, 2, 1] + [UInt8](repeating: 0, count: 10)
                    + [255, 255, 198, 51, 100, 10] + ports
            ), ipv4
        ),
        (binary(0x20, 0x00, []), ProxyHeader()),
        (binary(0x20, 0x11, [1, 2, 3]), ProxyHeader()),
        (binary(0x21, 0x12, [UInt8](repeating: 1, count: 12)), ProxyHeader()),
        (binary(0x21, 0x00, []), ProxyHeader()),
        (
            binary(
                0x21,
                0x31,
                Array("/run/a".utf8) + [UInt8](repeating: 0, count: 102) + [0] + Array("b".utf8)
                    + [UInt8](repeating: 0, count: 106)
            ), ProxyHeader(ends: .init(source: .unix("/run/a"), destination: .unix("@b")))
        ),
    ]

    @Test("headers of both versions say whose the connection is, and every beginning of one is incomplete")
    func parse() {
        for (bytes, header) in ProxyTests.headers {
            #expect(ProxyHeader.parse((bytes + [7, 7]).span) == .header(header, byteCount: bytes.count))
            for count in 0..<bytes.count {
                #expect(ProxyHeader.parse(Array(bytes[..<count]).span) == .incomplete, "\(bytes[..<count])")
            }
        }
    }

    @Test(
        "what is no header is refused",
        arguments: [
            "GET / HTTP/1.1\r\n", "PROXX", "proxy TCP4", "PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n", "PROXY\r\n",
            "PROXY TCP4 1.2.3.4 5.6.7.8 1 2\n", "PROXY TCP4 1.2.3.4 5.6.7.8 1 65536\r\n",
            "PROXY TCP4 1.2.3.4 5.6.7.8 01 2\r\n", "PROXY TCP4 1.2.3.4 5.6.7.8 -1 2\r\n", "PROXY TCP4 ::1 ::2 1 2\r\n",
            "PROXY TCP6 1.2.3.4 5.6.7.8 1 2\r\n", "PROXY TCP4 1.2.3.4  5.6.7.8 1 2\r\n",
            "PROXY UDP4 1.2.3.4 5.6.7.8 1 2\r\n",
            "PROXY TCP6 fe80::1%1 ::2 1 2\r\n", "PROXY TCP4 1.2.3.4 5.6.7.8 1 2 3\r\n",
            "PROXY UNKNOWN " + String(repeating: "x", count: 100) + "\r\n", "\r\n\r\nX",
        ]
    )
    func malformedText(text: String) {
        guard case .malformed = ProxyHeader.parse(Array(text.utf8).span) else {
            Issue.record("\(text) gave \(ProxyHeader.parse(Array(text.utf8).span))")
            return
        }
    }

    @Test("binary headers of another version, command or length are refused")
    func malformedBinary() {
        let short = [UInt8](repeating: 1, count: 11)
        for bytes in [
            ProxyTests.binary(0x11, 0x11, short + [1]), ProxyTests.binary(0x22, 0x11, short + [1]),
            ProxyTests.binary(0x21, 0x11, short), ProxyTests.binary(0x21, 0x21, short),
            ProxyTests.binary(0x21, 0x31, short), ProxyTests.binary(0x21, 0x41, short),
            ProxyTests.binary(0x21, 0x13, short),
            ProxyTests.signature + [0x21, 0x11, 0xFF, 0xFF],
        ] {
            guard case .malformed = ProxyHeader.parse(bytes.span) else {
                Issue.record("\(bytes) gave \(ProxyHeader.parse(bytes.span))")
                continue
            }
        }
    }

    /// Notes what it is told and echoes.
    private final class Behind: StreamProtocol {
        let transport: any StreamTransport
        var events: [String] = []
        var onMade: ((Behind) -> Void)?
        init(_ transport: any StreamTransport) { self.transport = transport }
        func connectionMade() {
            events.append("made \(transport.peerAddress) \(transport.localAddress)")
            onMade?(self)
        }
        func dataReceived(_ bytes: Span<UInt8>) {
            let text = ByteChunk(copying: bytes).text
            if let last = events.last, last.hasPrefix("~") {
                events[events.count - 1] = last + text
            } else {
                events.append("~" + text)
            }
            transport.write(bytes)
        }
        func connectionLost(_ reason: DisconnectReason) { events.append("lost \(reason)") }
    }

    /// What is built behind headers.
    private final class Built { var behind: Behind? }

    private func proxied(_ script: ((Behind) -> Void)? = nil) -> (ScriptedConnection, Built) {
        let built = Built()
        let test = ScriptedConnection { transport in
            ProxiedConnection(transport) {
                built.behind = Behind($0)
                built.behind?.onMade = script
                return built.behind
            }
        }
        return (test, built)
    }

    @Test("C58: however the header is cut, the protocol sees the proxied addresses, and what is behind it once")
    func cuts() {
        for (header, parsed) in ProxyTests.headers where header.count < 100 {
            for cut in [Cut.whole] + (1...header.count + 3).map({ .at([$0]) }) + [.every(1), .every(7)] {
                let (test, built) = proxied()
                test.feed(header + Array("hello".utf8), cut: cut)
                #expect(test.takeText() == "hello")
                let source =
                    parsed.ends.map { "\($0.source) \($0.destination)" }
                    ?? "\(test.transport!.peerAddress) \(test.transport!.localAddress)"
                #expect(built.behind?.events == ["made \(source)", "~hello"], "\(cut)")
                test.halfClose()
                #expect(built.behind?.events.last == "lost done")
            }
        }
    }

    @Test(
        "C58: a bad header, an end within one and one that does not come in time close, and the protocol hears nothing"
    )
    func bad() {
        let (wrong, behindWrong) = proxied()
        wrong.feed("GET / HTTP/1.1\r\n")
        #expect(wrong.isClosed && behindWrong.behind == nil && wrong.error == .connectionReset)
        let (short, behindShort) = proxied()
        short.feed("PROXY TCP4 1.2")
        short.halfClose()
        #expect(short.isClosed && behindShort.behind == nil)
        let (slow, behindSlow) = proxied()
        for byte in "PROX" {
            slow.feed(String(byte))
            slow.advance(by: .seconds(1))
        }
        slow.advance(by: .seconds(2))
        #expect(slow.isClosed && behindSlow.behind == nil)
    }

    @Test("who is refused behind the header is cut off: an access list within sees the client, one around the proxy")
    func accessWithin() throws {
        let client = AccessList(deny: [try #require(AddressPrefix("192.0.2.0/24"))])
        let proxy = AccessList(allow: [try #require(AddressPrefix("127.0.0.0/8"))])
        let guarded = client.guarding { Behind($0) }
        let build = proxy.guarding { ProxiedConnection($0, guarded) }
        let denied = ScriptedConnection { try build($0) }
        denied.feed(ProxyTests.headers[0].0)
        #expect(denied.isClosed && denied.error == .connectionReset)
        let admitted = ScriptedConnection { try build($0) }
        admitted.feed(Array("PROXY TCP4 192.0.3.1 198.51.100.10 1 2\r\nx".utf8))
        #expect(admitted.takeText() == "x")
    }

    @Test("a protocol that pauses when it is made gets what is behind the header when it resumes")
    func pause() {
        let (test, built) = proxied { $0.transport.pauseProducing() }
        test.feed(ProxyTests.headers[0].0 + Array("later".utf8))
        #expect(built.behind?.events.count == 1)
        test.perform { _ in built.behind?.transport.resumeProducing() }
        #expect(built.behind?.events.last == "~later")
        #expect(test.takeText() == "later")
    }
}
