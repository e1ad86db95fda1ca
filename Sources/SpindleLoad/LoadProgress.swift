// SPDX-License-Identifier: Apache-2.0

internal import Synchronization

/// Messages received so far, for a progress line, and a way to end a run early. From any thread.
public final class LoadProgress: Sendable {
    private let count = Atomic<Int>(0)
    private let ending = Atomic<Bool>(false)
    private let measuring = Atomic<Bool>(false)

    /// Nothing yet.
    public init() {}

    func add(_ messages: Int) { count.add(messages, ordering: .relaxed) }

    /// Messages received since the start, warm-up included.
    public var messages: Int { count.load(ordering: .relaxed) }

    func measuringBegins() { measuring.store(true, ordering: .releasing) }

    /// True once what comes back counts.
    var isMeasuring: Bool { measuring.load(ordering: .acquiring) }

    /// Ends the run soon, as if its time were up: what was measured so far is the result.
    public func end() { ending.store(true, ordering: .relaxed) }

    /// True once somebody ended it.
    public var isEnding: Bool { ending.load(ordering: .relaxed) }
}
