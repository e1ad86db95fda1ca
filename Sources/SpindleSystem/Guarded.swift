// SPDX-License-Identifier: Apache-2.0

internal import Glibc

/// A value that one thread at a time may touch; for what is rare, the loop locks nothing. pthread_mutex_lock(3).
///
/// Not the standard library's `Mutex`: ThreadSanitizer does not see that one (its futex calls are not
/// instrumented) and reports every use as a race; it knows pthread mutexes.
// Sendable: `value` is touched only while the mutex is held.
@safe package final class Guarded<Value>: @unchecked Sendable {
    private let mutex: UnsafeMutablePointer<pthread_mutex_t>
    private var value: Value

    /// Takes over `value`: nobody else may hold on to it.
    package init(_ value: Value) {
        self.value = value
        unsafe mutex = .allocate(capacity: 1)
        unsafe pthread_mutex_init(mutex, nil)
    }

    deinit {
        unsafe pthread_mutex_destroy(mutex)
        unsafe mutex.deallocate()
    }

    /// Calls `body` with the value, alone.
    package func withLock<Result, Failure>(
        _ body: (inout Value) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        unsafe pthread_mutex_lock(mutex)
        defer { unsafe pthread_mutex_unlock(mutex) }
        return try body(&value)
    }

    /// As `withLock`, but does not wait: nil when another thread has the value.
    package func withLockIfAvailable<Result, Failure>(
        _ body: (inout Value) throws(Failure) -> Result
    ) throws(Failure) -> Result? {
        guard unsafe pthread_mutex_trylock(mutex) == 0 else { return nil }
        defer { unsafe pthread_mutex_unlock(mutex) }
        return try body(&value)
    }
}
