// SPDX-License-Identifier: Apache-2.0

internal import SpindleSystem
internal import Synchronization

/// One that a latch waits for: it arrives when it says so, or when it is no more, as a job that is dropped.
final class Arrival: Sendable {
    private let latch: Latch
    private let hasArrived = Atomic(false)

    init(at latch: Latch) { self.latch = latch }

    func arrive() { if !hasArrived.exchange(true, ordering: .relaxed) { latch.arrive() } }

    deinit { arrive() }
}
