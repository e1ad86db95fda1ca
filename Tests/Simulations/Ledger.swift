// SPDX-License-Identifier: Apache-2.0

import SpindleCore
import SpindleReactor
import SpindleSimulation

/// A rule that did not hold in a simulated run.
public struct Violation: Sendable, Equatable, CustomStringConvertible {
    /// N1 to N7, C31 and the like (SEMANTICS.md), or a word: echo, wake-up, leak.
    public let rule: String
    /// What was seen.
    public let detail: String

    /// Both.
    public var description: String { "\(rule): \(detail)" }
}

/// What everybody in a simulated run reports to; all on one thread.
// Sendable: closures that it is captured by have to be; the run has one thread.
final class Ledger: @unchecked Sendable {
    /// The first few: what follows from them says little.
    private(set) var violations: [Violation] = []
    var random: SeededRandom
    private var beginnings = 0
    var handles: [ReactorHandle] = []
    /// Protocols and handlers that have begun and were not told of their end, by what they are.
    private(set) var alive: Set<String> = []
    /// No protocol may be built any more, but for connections that are handed on.
    var isStopping = false
    /// There were fewer descriptors than clients at some time.
    var lackedDescriptors = false
    /// Bytes that protocols have written for a client, by its address: what a drain has to send.
    var written: [SocketAddress: Int] = [:]
    /// Changes with everything that happens: two runs of one seed have the same.
    private(set) var fingerprint: UInt64 = 14_695_981_039_346_656_037

    init(seed: UInt64) { random = SeededRandom(seed: seed) }

    func check(_ condition: Bool, _ rule: String, _ detail: @autoclosure () -> String) {
        guard !condition, violations.count < 10 else { return }
        violations.append(Violation(rule: rule, detail: detail()))
    }

    func note(_ numbers: Int...) {
        for number in numbers { fingerprint = (fingerprint ^ UInt64(bitPattern: Int64(number))) &* 1_099_511_628_211 }
    }

    /// A protocol or handler begins, which `ended` is to be called for.
    func begun(_ what: String) -> String {
        beginnings += 1
        let name = "\(what) \(beginnings)"
        alive.insert(name)
        return name
    }

    func ended(_ name: String) { check(alive.remove(name) != nil, "callbacks", "\(name) ended twice") }

    func checkAllEnded() {
        check(alive.isEmpty, "callbacks", "not told of their end: \(alive.sorted().joined(separator: ", "))")
    }

    /// One in `count`.
    func chance(_ count: Int) -> Bool { random.below(count) == 0 }

    func number(_ range: ClosedRange<Int>) -> Int { range.lowerBound + random.below(range.count) }
}
