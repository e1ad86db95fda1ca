// SPDX-License-Identifier: Apache-2.0

import SpindleCore
import SpindleProtocols
import SpindleSystem
import SpindleTesting
import Testing

@Suite("prefixes and access lists")
struct AccessTests {
    private func address(_ text: String) throws -> SocketAddress {
        try #require(SocketAddress(numericHost: text, port: 0))
    }

    @Test(
        "a prefix holds the addresses that share its bits, and no others",
        arguments: [
            ("10.0.0.0/8", "10.255.255.255", "11.0.0.0"), ("0.0.0.0/0", "255.255.255.255", "::1"),
            ("127.0.0.1", "127.0.0.1", "127.0.0.2"), ("192.168.1.128/25", "192.168.1.200", "192.168.1.127"),
            ("2001:db8::/32", "2001:db8:ffff::1", "2001:db9::"), ("::/0", "ffff::", "1.2.3.4"),
            ("fe80::/64", "fe80::1:2:3:4", "fe80:0:0:1::"),
            ("2001:db8::8000:0:0:0/65", "2001:db8::8000:0:0:1", "2001:db8::1"),
            ("::1/128", "::1", "::2"), ("::1", "::1", "::3"),
        ]
    )
    func contains(text: String, inside: String, outside: String) throws {
        let prefix = try #require(AddressPrefix(text))
        let anyPort: UInt16 = 99
        #expect(prefix.contains(try address(inside).with(port: anyPort)))
        #expect(!prefix.contains(try address(outside)))
        #expect(AddressPrefix(prefix.description) == prefix)
        #expect(!prefix.contains(.unix("/x")))
    }

    @Test(
        "what is no prefix, and one with bits behind it, is refused",
        arguments: [
            "", "/8", "10.0.0.0/", "10.0.0.0/33", "::/129", "10.0.0.1/8", "::1/64", "10.0.0.0/+8", "host/8",
            "10.0.0.0/8/8",
        ]
    )
    func noPrefix(text: String) { #expect(AddressPrefix(text) == nil) }

    @Test("the longest prefix decides; a list that allows somebody lets nobody else in")
    func list() throws {
        func prefixes(_ texts: String...) throws -> [AddressPrefix] {
            try texts.map { try #require(AddressPrefix($0)) }
        }
        let mixed = AccessList(
            allow: try prefixes("10.1.0.0/16", "2001:db8::/32"),
            deny: try prefixes("10.0.0.0/8", "10.1.2.3", "2001:db8:bad::/48")
        )
        for (text, isIn) in [
            ("10.1.0.1", true), ("10.2.0.1", false), ("10.1.2.3", false), ("11.0.0.1", false), ("2001:db8::1", true),
            ("2001:db8:bad::1", false), ("::1", false),
        ] {
            #expect(mixed.allows(try address(text)) == isIn, "\(text)")
        }
        let denying = AccessList(deny: try prefixes("10.0.0.0/8"))
        #expect(denying.allows(try address("11.0.0.1")))
        #expect(!denying.allows(try address("10.0.0.1")))
        let mapped = SocketAddress.ipv6(high: 0, low: 0xFFFF_0A01_0203, port: 0, scope: 0)
        #expect(!mixed.allows(mapped), "10.1.2.3 in the other's clothes")
        #expect(AccessList().allows(try address("1.2.3.4")))
        #expect(mixed.allows(.unix("")), "there the file's mode decides")
        let both = AccessList(allow: try prefixes("::1"), deny: try prefixes("::1"))
        #expect(!both.allows(try address("::1")))
    }

    @Test("who is not let in is closed at once, and no protocol is built")
    func guarding() throws {
        final class Never: StreamProtocol {
            let transport: any StreamTransport
            init(_ transport: any StreamTransport) { self.transport = transport }
            func dataReceived(_ bytes: Span<UInt8>) {}
        }
        let list = AccessList(deny: [try #require(AddressPrefix("127.0.0.0/8"))])
        let build = list.guarding { Never($0) }
        let test = ScriptedConnection { try build($0) }
        #expect(test.isClosed && test.isAtEnd && test.proto == nil)
    }
}
