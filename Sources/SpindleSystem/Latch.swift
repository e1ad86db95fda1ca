// SPDX-License-Identifier: Apache-2.0

internal import SpindleCore

/// Opens once; threads that wait go on then. For threads of our own, never for those of Swift's pool.
package final class Latch: Sendable {
    private let missing: Monitor<Int>

    /// Opens after `count` calls of `arrive`; 0 is open at once.
    package init(count: Int = 1) { missing = Monitor(count) }

    /// One of those that are waited for has come. From any thread.
    package func arrive() { missing.changeForAll { $0 -= 1 } }

    /// Blocks the calling thread until the latch is open.
    package func wait() {
        let never = MonotonicInstant(nanoseconds: .max)
        _ = missing.wait(until: never) { missing, isLast in missing <= 0 || isLast ? true : nil }
    }
}
