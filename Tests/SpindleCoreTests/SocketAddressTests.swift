// SPDX-License-Identifier: Apache-2.0

import SpindleCore
import Testing

@Suite struct SocketAddressTests {
    @Test(
        "IPv6 is written as RFC 5952 says",
        arguments: [
            (0, 0, "[::]:1"), (0, 1, "[::1]:1"), (0x2001_0db8_0000_0000, 0x0000_0000_0002_0001, "[2001:db8::2:1]:1"),
            (0x2001_0db8_0000_0001, 0x0001_0001_0001_0001, "[2001:db8:0:1:1:1:1:1]:1"),
            (0x2001_0000_0000_0001, 0x0000_0000_0000_0001, "[2001:0:0:1::1]:1"),
            (0x2001_0db8_0000_0000, 0x0001_0000_0000_0001, "[2001:db8::1:0:0:1]:1"),
        ] as [(UInt64, UInt64, String)]
    )
    func ipv6(high: UInt64, low: UInt64, text: String) {
        #expect(SocketAddress.ipv6(high: high, low: low, port: 1, scope: 0).description == text)
    }

    @Test("wildcards, ports and scopes are told apart")
    func parts() {
        #expect(SocketAddress.any(port: 7).isWildcard && SocketAddress.anyIPv4(port: 7).isWildcard)
        #expect(!SocketAddress.loopback(port: 7).isWildcard && !SocketAddress.loopback6(port: 7).isWildcard)
        #expect(SocketAddress.loopback(port: 7).with(port: 9) == .loopback(port: 9))
        #expect(SocketAddress.ipv6(high: 0xfe80 << 48, low: 1, port: 7, scope: 3).description == "[fe80::1%3]:7")
        // tidy: allow banned: printed only, nothing listens
        #expect(SocketAddress.ipv4(0xffff_ffff, port: 65535).description == "255.255.255.255:65535")
    }
}

@Suite struct MonotonicInstantTests {
    @Test("durations of every length become nanoseconds, clamped at what 64 bits hold")
    func clamping() {
        let cases: [(Duration, Int64)] = [
            (.zero, 0), (.nanoseconds(1), 1), (.seconds(9), 9_000_000_000), (.seconds(9430), 9_430_000_000_000),
            (.seconds(10_000), 10_000_000_000_000), (.nanoseconds(-1), -1), (.seconds(-20_000), -20_000_000_000_000),
            (.seconds(9_223_372_036), 9_223_372_036_000_000_000), (.seconds(9_223_372_037), .max),
            (.seconds(Int64.max), .max), (.seconds(Int64.min), .min), (.milliseconds(1500), 1_500_000_000),
        ]
        for (duration, nanoseconds) in cases { #expect(duration.clampedNanoseconds == nanoseconds, "\(duration)") }
        // Fractions are dropped, on both sides of where the quick way ends.
        #expect((Duration.nanoseconds(7) / 2).clampedNanoseconds == 3)
        #expect(Duration(secondsComponent: 20_000, attosecondsComponent: 999).clampedNanoseconds == 20_000_000_000_000)
    }

    @Test("an instant moves both ways and stops at its ends")
    func moving() {
        let instant = MonotonicInstant(nanoseconds: 1000)
        #expect(instant.advanced(by: .nanoseconds(5)).nanoseconds == 1005)
        #expect(instant.advanced(by: .nanoseconds(-2000)).nanoseconds == 0)
        #expect(MonotonicInstant(nanoseconds: .max).advanced(by: .seconds(1)).nanoseconds == .max)
        #expect(instant.duration(to: instant.advanced(by: .seconds(3))) == .seconds(3))
        #expect(instant.advanced(by: .seconds(3)).duration(to: instant) == .seconds(-3))
    }
}
