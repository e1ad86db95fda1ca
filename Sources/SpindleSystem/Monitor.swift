// SPDX-License-Identifier: Apache-2.0

internal import Glibc
package import SpindleCore

/// A value that one thread at a time may touch, and that threads may wait for to change. For threads of our own,
/// never for those of Swift's pool. pthread_cond_wait(3).
// Sendable: all state is behind the mutex.
@safe package final class Monitor<Value>: @unchecked Sendable {
    private let mutex: UnsafeMutablePointer<pthread_mutex_t>
    private let condition: UnsafeMutablePointer<pthread_cond_t>
    private var value: Value

    /// Takes over `value`: nobody else may hold on to it.
    package init(_ value: Value) {
        self.value = value
        unsafe mutex = .allocate(capacity: 1)
        unsafe condition = .allocate(capacity: 1)
        unsafe pthread_mutex_init(mutex, nil)
        var attributes = pthread_condattr_t()
        unsafe pthread_condattr_init(&attributes)
        unsafe pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
        unsafe pthread_cond_init(condition, &attributes)
        unsafe pthread_condattr_destroy(&attributes)
    }

    deinit {
        unsafe pthread_cond_destroy(condition)
        unsafe pthread_mutex_destroy(mutex)
        unsafe condition.deallocate()
        unsafe mutex.deallocate()
    }

    /// Calls `body` with the value, alone.
    package func withLock<Result>(_ body: (inout Value) throws -> Result) rethrows -> Result {
        unsafe pthread_mutex_lock(mutex)
        defer { unsafe pthread_mutex_unlock(mutex) }
        return try body(&value)
    }

    /// As `withLock`, and lets one that waits look again.
    package func change<Result>(_ body: (inout Value) -> Result) -> Result {
        withLock { value in
            defer { unsafe pthread_cond_signal(condition) }
            return body(&value)
        }
    }

    /// As `withLock`, and lets all that wait look again.
    package func changeForAll<Result>(_ body: (inout Value) -> Result) -> Result {
        withLock { value in
            defer { unsafe pthread_cond_broadcast(condition) }
            return body(&value)
        }
    }

    /// Blocks the calling thread until `body` gives something, looking at once and after each change.
    ///
    /// - Parameters:
    ///   - end: On CLOCK_MONOTONIC.
    ///   - body: Alone with the value; `isLast` is true when the end has come: its result is returned then.
    package func wait<Result>(
        until end: MonotonicInstant,
        _ body: (inout Value, _ isLast: Bool) -> Result?
    ) -> Result? {
        unsafe pthread_mutex_lock(mutex)
        defer { unsafe pthread_mutex_unlock(mutex) }
        var time = timespec(
            tv_sec: Int(end.nanoseconds / 1_000_000_000),
            tv_nsec: Int(end.nanoseconds % 1_000_000_000)
        )
        while true {
            if let result = body(&value, false) { return result }
            if unsafe pthread_cond_timedwait(condition, mutex, &time) == ETIMEDOUT { return body(&value, true) }
        }
    }
}
