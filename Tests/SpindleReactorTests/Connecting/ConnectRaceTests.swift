// SPDX-License-Identifier: Apache-2.0

import SpindleCore
import Testing

@testable import SpindleReactor

@Suite("which of a name's addresses are tried when")
struct ConnectRaceTests {
    private static let v4 = (0..<4).map { SocketAddress.ipv4(UInt32($0), port: 1) }
    private static let v6 = (0..<4).map { SocketAddress.ipv6(high: 0, low: UInt64($0), port: 1, scope: 0) }

    @Test("RFC 8305 §4: the families take turns, beginning with that of the first address, each in its own order")
    func interleaving() {
        let (v4, v6) = (ConnectRaceTests.v4, ConnectRaceTests.v6)
        #expect(
            ConnectRace.interleaved([v6[0], v6[1], v6[2], v4[0], v4[1]]) == [v6[0], v4[0], v6[1], v4[1], v6[2]]
        )
        #expect(ConnectRace.interleaved([v4[0], v6[0], v6[1], v6[2]]) == [v4[0], v6[0], v6[1], v6[2]])
        #expect(ConnectRace.interleaved([v4[1], v4[0]]) == [v4[1], v4[0]])
        #expect(ConnectRace.interleaved([]).isEmpty)
    }

    @Test("a failure begins the next address at once, and the race fails with the last of them")
    func failures() {
        var race = ConnectRace([ConnectRaceTests.v4[0], ConnectRaceTests.v4[1], ConnectRaceTests.v4[2]])
        #expect(race.next() == .begin(ConnectRaceTests.v4[0]))
        #expect(race.failed() == .begin(ConnectRaceTests.v4[1]))
        #expect(race.next() == .begin(ConnectRaceTests.v4[2]), "the delay passed")
        #expect(!race.hasMore)
        #expect(race.failed() == .wait, "one is still running")
        #expect(race.failed() == .fail)
    }

    @Test("whatever happens in whatever order, each address is begun once, and the race fails when all have failed")
    func everyOrder() {
        // Bit by bit: 1 is a failure, when any is running, 0 the delay.
        for events in 0..<256 {
            var race = ConnectRace(ConnectRaceTests.v4)
            var begun: [SocketAddress] = []
            var failed = 0
            func note(_ step: ConnectRace.Step) -> Bool {
                if case .begin(let address) = step { begun.append(address) }
                return step == .fail
            }
            var isOver = note(race.next())
            for bit in 0..<8 where !isOver {
                if events >> bit & 1 == 1, begun.count > failed {
                    failed += 1
                    isOver = note(race.failed())
                } else {
                    isOver = note(race.next())
                }
            }
            while !isOver {
                failed += 1
                isOver = note(race.failed())
            }
            #expect(begun == ConnectRaceTests.v4 && failed == 4)
        }
    }
}
