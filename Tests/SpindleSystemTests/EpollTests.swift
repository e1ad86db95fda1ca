// SPDX-License-Identifier: Apache-2.0

import SpindleCore
import Testing

@testable import SpindleSystem

@Suite struct EpollTests {
    @Test("an edge is reported once, and again after the next change")
    func edges() throws {
        let epoll = try Epoll(capacity: 4)
        let event = try EventDescriptor()
        try epoll.add(event.rawValue, .incoming, token: 42)
        #expect(epoll.wait(timeout: 0) == 0)
        event.ring()
        #expect(epoll.wait(timeout: -1) == 1)
        #expect(epoll.event(at: 0).token == 42 && epoll.event(at: 0).bits & Epoll.readable != 0)
        #expect(epoll.wait(timeout: 0) == 0)
        event.ring()
        #expect(epoll.wait(timeout: -1) == 1)
    }

    @Test("a wait returns a capacity's worth of events, the next wait the rest")
    func capacity() throws {
        let epoll = try Epoll(capacity: 2)
        let events = try (0..<3).map { _ in try EventDescriptor() }
        for (token, event) in events.enumerated() {
            try epoll.add(event.rawValue, .incoming, token: UInt64(token))
            event.ring()
        }
        var tokens: [UInt64] = []
        for _ in 0..<2 { for index in 0..<epoll.wait(timeout: 0) { tokens.append(epoll.event(at: index).token) } }
        #expect(tokens.sorted() == [0, 1, 2])
    }

    @Test(
        "C34: timeouts are rounded up to milliseconds, never down, and never overflow a C int",
        arguments: [
            (1, 1), (999_999, 1), (1_000_000, 1), (1_000_001, 2), (30 * 86400 * 1_000_000_000, CInt.max),
            (Int64.max, CInt.max),
        ] as [(Int64, CInt)]
    )
    func rounding(nanoseconds: Int64, milliseconds: CInt) {
        #expect(Epoll.roundedUpMilliseconds(nanoseconds) == milliseconds)
    }

    @Test("C34: a wait for months is accepted, with and without epoll_pwait2, and ends when something happens")
    func distant() throws {
        for isOld in [false, true] {
            let epoll = try Epoll(capacity: 1)
            if isOld { epoll.pretendOldKernel() }
            let event = try EventDescriptor()
            try epoll.add(event.rawValue, .incoming, token: 1)
            event.ring()
            #expect(epoll.wait(timeout: 100 * 86400 * 1_000_000_000) == 1)
        }
    }

    @Test("what cannot be watched is an error: no descriptor, or a plain file")
    func unwatchable() throws {
        let epoll = try Epoll(capacity: 1)
        #expect(throws: Errno.badDescriptor) { try epoll.add(99_999, .incoming, token: 0) }
        let file = Descriptor(owning: try #require(DescriptorLimit.reserve()))
        let refusal = #expect(throws: Errno.self) { try epoll.add(file.rawValue, .incoming, token: 0) }
        #expect(refusal == .notPermitted)
    }
}
