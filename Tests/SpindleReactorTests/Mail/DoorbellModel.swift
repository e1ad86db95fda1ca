// SPDX-License-Identifier: Apache-2.0

@testable import SpindleReactor

/// The doorbell's memory on a model's thread, with the ways to build it wrongly.
struct ModelDoorbell: DoorbellMemory {
    typealias Interruption = ModelInterruption

    /// A mistake in the memory operations; mistakes in their order are `BrokenDoorbell`'s.
    enum Mistake {
        case none
        /// The bit is set with a load and a store.
        case plainOr
        /// `sleeping` is written with a store where the fence has to be.
        case plainSleeping
        /// Both: no fence on either side.
        case noFences
    }

    let thread: ModelThread
    let layout: DoorbellLayout
    var mistake = Mistake.none

    var wordCount: Int { layout.wordCount }

    func or(_ bits: UInt64, intoWord word: Int) throws(ModelInterruption) {
        guard mistake == .plainOr || mistake == .noFences else {
            _ = try thread.perform(ModelOperation(kind: .or, location: layout.word(word), value: bits))
            return
        }
        let old = try thread.load(layout.word(word))
        try thread.store(old | bits, to: layout.word(word), releasing: true)
    }

    func load(word: Int) throws(ModelInterruption) -> UInt64 { try thread.load(layout.word(word)) }

    func take(word: Int) throws(ModelInterruption) -> UInt64 {
        try thread.perform(ModelOperation(kind: .exchange, location: layout.word(word)))
    }

    func loadSleeping() throws(ModelInterruption) -> Bool { try thread.load(layout.sleeping) != 0 }

    func exchangeSleeping(_ value: Bool) throws(ModelInterruption) -> Bool {
        let ghost = value ? layout.announcements : nil
        let isPlain = value && (mistake == .plainSleeping || mistake == .noFences)
        let operation = ModelOperation(
            kind: isPlain ? .storeReleasing : .exchange,
            location: layout.sleeping,
            value: value ? 1 : 0,
            ghost: ghost
        )
        return try thread.perform(operation) != 0
    }

    func storeSleeping(_ value: Bool) throws(ModelInterruption) {
        try thread.store(value ? 1 : 0, to: layout.sleeping, releasing: true)
    }

    /// The glance of `Doorbell.isRung`.
    func isRung() throws(ModelInterruption) -> Bool {
        for word in 0..<wordCount where try load(word: word) != 0 { return true }
        return false
    }
}

/// Where things lie in the model's memory.
struct DoorbellLayout {
    var senderCount = 1
    var wordCount = 1

    func word(_ index: Int) -> Int { index }
    var sleeping: Int { wordCount }
    /// Not 0 once somebody has written to the receiver's eventfd.
    var wakeUp: Int { wordCount + 1 }
    /// Ghosts: how often the receiver said that it sleeps, and how many senders took it upon them to wake it.
    var announcements: Int { wordCount + 2 }
    var wakers: Int { wordCount + 3 }
    /// How much a sender has published in its mailbox; the ring itself is `RingModel`'s.
    func tail(_ sender: Int) -> Int { wordCount + 4 + sender }
    var locationCount: Int { wordCount + 4 + senderCount }

    /// The bit of a sender: spread over all words.
    func bit(_ sender: Int) -> Int { sender % wordCount * 64 + sender }
}

/// Doorbells with one mistake each in what the protocol does.
extension DoorbellMemory {
    /// "The bit is set already, so somebody has rung."
    func ringUnlessRung(_ bit: Int) throws(Interruption) -> Bool {
        if try load(word: bit >> 6) & (1 << UInt64(bit & 63)) == 0 { try or(1 << UInt64(bit & 63), intoWord: bit >> 6) }
        guard try loadSleeping() else { return false }
        return try exchangeSleeping(false)
    }

    /// "It sleeps, so it is to be woken; the flag can be cleared with a store."
    func ringWithoutExchange(_ bit: Int) throws(Interruption) -> Bool {
        try or(1 << UInt64(bit & 63), intoWord: bit >> 6)
        guard try loadSleeping() else { return false }
        try storeSleeping(false)
        return true
    }

    /// "The bitmap was empty just now."
    func prepareToSleepWithoutLooking() throws(Interruption) -> Bool {
        _ = try exchangeSleeping(true)
        return true
    }
}

/// Senders that publish and ring, and a reactor that takes their mail and sleeps in between.
struct DoorbellScenario: Sendable {
    enum Mistake: Sendable {
        case none, plainOr, plainSleeping, noFences
        case ringUnlessRung, wakeWithoutExchange, sleepWithoutLooking, publishAfterRinging
    }

    /// Messages of each sender.
    var messages: [UInt64] = [1]
    var wordCount = 1
    /// Times that the receiver may wake without being woken, as for an event or a timer.
    var idleWakeUps: UInt64 = 0
    var mistake = Mistake.none

    private var senderCount: Int { messages.count }
    private var layout: DoorbellLayout { DoorbellLayout(senderCount: senderCount, wordCount: wordCount) }

    func explore(_ order: ModelOrder) -> ModelReport {
        let layout = layout
        let senders = (0..<senderCount).map { (locals: [UInt64(0)], program: sender($0)) }
        let none = Array(repeating: UInt64(0), count: senderCount)
        let receiver = (locals: none + [idleWakeUps], program: receiver)
        let memory = Array(repeating: UInt64(0), count: layout.locationCount)
        return ModelChecker(order, memory: memory, threads: senders + [receiver]) { state in
            state.memory[layout.wakers] > state.memory[layout.announcements] ? "two wakers won one sleep" : nil
        }.explore()
    }

    private func bell(_ thread: ModelThread) -> ModelDoorbell {
        var bell = ModelDoorbell(thread: thread, layout: layout)
        switch mistake {
        case .plainOr: bell.mistake = .plainOr
        case .plainSleeping: bell.mistake = .plainSleeping
        case .noFences: bell.mistake = .noFences
        default: break
        }
        return bell
    }

    /// `Outbox.publish` and `ReactorHandle.ring`, once for each message.
    private func sender(_ index: Int) -> ModelProgram {
        { (thread, locals) throws(ModelInterruption) in
            let bell = bell(thread)
            let number = locals[0] + 1
            let publishesLate = mistake == .publishAfterRinging
            if !publishesLate { try thread.store(number, to: layout.tail(index), releasing: true) }
            let sleeps =
                switch mistake {
                case .ringUnlessRung: try bell.ringUnlessRung(layout.bit(index))
                case .wakeWithoutExchange: try bell.ringWithoutExchange(layout.bit(index))
                default: try bell.ring(layout.bit(index))
                }
            if publishesLate { try thread.store(number, to: layout.tail(index), releasing: true) }
            if sleeps {
                let wake = ModelOperation(kind: .wake, location: layout.wakeUp, ghost: layout.wakers)
                _ = try thread.perform(wake)
            }
            return number == messages[index] ? nil : [number]
        }
    }

    /// `Reactor.turn` of a reactor that has nothing but mail to do: drainMail, then wait.
    private func receiver(_ thread: ModelThread, _ locals: [UInt64]) throws(ModelInterruption) -> [UInt64]? {
        let bell = bell(thread)
        var taken = Array(locals[..<senderCount])
        if try bell.isRung() {
            for word in 0..<wordCount {
                let bits = try bell.take(word: word)
                for sender in 0..<senderCount where layout.bit(sender) >> 6 == word {
                    guard bits & (1 << UInt64(layout.bit(sender) & 63)) != 0 else { continue }
                    let tail = try thread.load(layout.tail(sender))
                    thread.check(tail >= taken[sender], "mail \(tail) came after \(taken[sender])")
                    taken[sender] = tail
                }
            }
            return taken == messages ? nil : taken + [locals[senderCount]]
        }
        return try wait(bell, thread, locals)
    }

    /// `Reactor.sleep`.
    private func wait(
        _ bell: ModelDoorbell,
        _ thread: ModelThread,
        _ locals: [UInt64]
    ) throws(ModelInterruption) -> [UInt64] {
        let prepared =
            mistake == .sleepWithoutLooking ? try bell.prepareToSleepWithoutLooking() : try bell.prepareToSleep()
        guard prepared else { return locals }
        var next = locals
        let mayEnd: UInt64 = locals[senderCount] > 0 ? 1 : 0
        let woken = try thread.perform(ModelOperation(kind: .sleep, location: layout.wakeUp, value: mayEnd))
        if woken == 0 { next[senderCount] -= 1 }
        try bell.wakeUp()
        return next
    }
}
