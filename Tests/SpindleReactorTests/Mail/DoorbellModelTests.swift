// SPDX-License-Identifier: Apache-2.0

import Testing

@Suite("The ring-or-sleep protocol, in every interleaving and with every delay of its stores")
struct DoorbellModelTests {
    /// All stores of the protocol are releasing ones, so both orders give the same states; a slip would show.
    static let scenarios = [
        DoorbellScenario(messages: [4]),
        DoorbellScenario(messages: [3], idleWakeUps: 2),
        DoorbellScenario(messages: [2, 1]),
        DoorbellScenario(messages: [2, 1], wordCount: 2),
        DoorbellScenario(messages: [1, 1], idleWakeUps: 1),
    ]

    @Test("no wake-up and no message is lost, and one waker wins", arguments: scenarios, ModelOrder.allCases)
    func correctProtocol(scenario: DoorbellScenario, order: ModelOrder) { expectNoViolation(scenario, order) }

    @Test("two senders of two messages each lose nothing")
    func twoSenders() { expectNoViolation(DoorbellScenario(messages: [2, 2]), .totalStoreOrder) }

    @Test("without any fence a wake-up is lost", arguments: ModelOrder.allCases)
    func noFences(order: ModelOrder) {
        expectLostWakeUp(DoorbellScenario(messages: [1], mistake: .noFences), order)
    }

    @Test("with a store in place of the OR a wake-up is lost", arguments: ModelOrder.allCases)
    func plainOr(order: ModelOrder) {
        expectLostWakeUp(DoorbellScenario(messages: [1], mistake: .plainOr), order)
    }

    @Test("with a store in place of the sleeper's exchange a wake-up is lost", arguments: ModelOrder.allCases)
    func plainSleeping(order: ModelOrder) {
        expectLostWakeUp(DoorbellScenario(messages: [1], mistake: .plainSleeping), order)
    }

    @Test("leaving out the OR when the bit is set loses a wake-up", arguments: ModelOrder.allCases)
    func ringUnlessRung(order: ModelOrder) {
        expectLostWakeUp(DoorbellScenario(messages: [2], mistake: .ringUnlessRung), order)
    }

    @Test("sleeping without a second look at the bitmap loses a wake-up", arguments: ModelOrder.allCases)
    func sleepWithoutLooking(order: ModelOrder) {
        expectLostWakeUp(DoorbellScenario(messages: [1], mistake: .sleepWithoutLooking), order)
    }

    @Test("ringing before publishing leaves a message behind", arguments: ModelOrder.allCases)
    func publishAfterRinging(order: ModelOrder) {
        expectLostWakeUp(DoorbellScenario(messages: [1], mistake: .publishAfterRinging), order)
    }

    @Test("clearing the flag with a store lets two wakers win", arguments: ModelOrder.allCases)
    func wakeWithoutExchange(order: ModelOrder) {
        let scenario = DoorbellScenario(messages: [1, 1], mistake: .wakeWithoutExchange)
        let report = scenario.explore(order)
        print("\(scenario), \(order): found in \(report.stateCount) states, after \(report.schedule.count) steps")
        #expect(report.violation == "two wakers won one sleep")
    }

    private func expectNoViolation(_ scenario: DoorbellScenario, _ order: ModelOrder) {
        let report = scenario.explore(order)
        print("\(scenario), \(order): \(report.stateCount) states, \(report.stepCount) steps")
        #expect(report.violation == nil, "\(report.schedule.joined(separator: "\n"))")
    }

    /// The last thread is the receiver: it sleeps, its flag is set or on its way, and everybody else has ended.
    private func expectLostWakeUp(_ scenario: DoorbellScenario, _ order: ModelOrder) {
        let report = scenario.explore(order)
        print("\(scenario), \(order): found in \(report.stateCount) states, after \(report.schedule.count) steps")
        #expect(report.violation?.hasPrefix("stuck: 0: -, 1: sleep") == true, "\(report.violation ?? "nothing")")
    }
}
