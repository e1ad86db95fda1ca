// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import SpindleReactor

@Suite
struct EventBufferTests {
    private static func event(_ slot: UInt32) -> DriverEvent {
        DriverEvent(token: EventToken(slot: slot, generation: 7), readiness: .readable)
    }

    @Test("events come out in the order in which they went in, and a new wait begins with none")
    func order() {
        var events = EventBuffer(capacity: 3)
        #expect(events.isEmpty == true)
        for slot in UInt32(0)..<3 { events.append(Self.event(slot)) }
        #expect(events.count == 3 && events.capacity == 3)
        for index in 0..<3 { #expect(events[index].token == Self.event(UInt32(index)).token) }
        events.removeAll()
        #expect(events.isEmpty == true)
        events.append(Self.event(9))
        #expect(events.count == 1 && events[0].token.slot == 9)
    }

    @Test("an event more than there is room for traps")
    func overflow() async {
        await #expect(processExitsWith: .failure) {
            var events = EventBuffer(capacity: 1)
            events.append(Self.event(0))
            events.append(Self.event(1))
        }
    }

    @Test("an event of an earlier wait cannot be read")
    func stale() async {
        await #expect(processExitsWith: .failure) {
            var events = EventBuffer(capacity: 2)
            events.append(Self.event(0))
            events.removeAll()
            _ = events[0]
        }
    }
}
