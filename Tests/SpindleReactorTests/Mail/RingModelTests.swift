// SPDX-License-Identifier: Apache-2.0

import Testing

@Suite("The ring's indices, in every interleaving and with every delay of stores")
struct RingModelTests {
    static let scenarios = [
        RingScenario(capacity: 1, messageCount: 4),
        RingScenario(capacity: 2, messageCount: 6),
        RingScenario(capacity: 2, messageCount: 6, batch: 2),
        RingScenario(capacity: 4, messageCount: 9, batch: 3),
        RingScenario(capacity: 2, messageCount: 6, batch: 2, start: .max - 2),
    ]

    @Test(
        "every message arrives once, whole and in order, and the end is always in reach",
        arguments: scenarios,
        ModelOrder.allCases
    )
    func correctRing(scenario: RingScenario, order: ModelOrder) {
        let report = scenario.explore(order)
        print("\(scenario), \(order): \(report.stateCount) states, \(report.stepCount) steps")
        #expect(report.violation == nil, "\(report.schedule.joined(separator: "\n"))")
    }

    @Test("a batch that is published before its slots are written shows what was there", arguments: ModelOrder.allCases)
    func publishBeforeWriting(order: ModelOrder) {
        expectWrongMessage(RingScenario(mistake: .publishBeforeWriting), order)
    }

    @Test("a batch that is published with a plain store overtakes its slots, though not on x86")
    func plainPublish() {
        let scenario = RingScenario(mistake: .plainPublish)
        expectWrongMessage(scenario, .partialStoreOrder)
        #expect(scenario.explore(.totalStoreOrder).violation == nil)
    }

    @Test(
        "a head that is released before its slot is read lets the slot be overwritten",
        arguments: ModelOrder.allCases
    )
    func releaseBeforeReading(order: ModelOrder) {
        expectWrongMessage(RingScenario(mistake: .releaseBeforeReading), order)
    }

    @Test("a new copy of the head that is not compared overwrites messages", arguments: ModelOrder.allCases)
    func trustTheCopy(order: ModelOrder) {
        expectWrongMessage(RingScenario(mistake: .trustTheCopy), order)
    }

    @Test("a stale copy of the head that is taken for free space overwrites messages", arguments: ModelOrder.allCases)
    func staleHead(order: ModelOrder) {
        expectWrongMessage(RingScenario(mistake: .staleHead), order)
    }

    @Test("a consumer that reads without comparing finds an empty slot", arguments: ModelOrder.allCases)
    func trustTheBell(order: ModelOrder) {
        expectWrongMessage(RingScenario(mistake: .trustTheBell), order)
    }

    @Test(
        "a consumer that takes an end of the turn before for a new one reads old messages",
        arguments: ModelOrder.allCases
    )
    func trustOldEnds(order: ModelOrder) {
        expectWrongMessage(RingScenario(mistake: .trustOldEnds), order)
    }

    private func expectWrongMessage(_ scenario: RingScenario, _ order: ModelOrder) {
        let report = scenario.explore(order)
        print("\(scenario), \(order): found in \(report.stateCount) states, after \(report.schedule.count) steps")
        #expect(report.violation?.contains("was due, but") == true, "\(report.violation ?? "nothing")")
    }
}
