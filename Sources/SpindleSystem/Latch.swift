// SPDX-License-Identifier: Apache-2.0

internal import Glibc

/// Opens once; threads that wait go on then. For threads of our own, never for those of Swift's pool.
// Sendable: all state is behind the mutex.
@safe package final class Latch: @unchecked Sendable {
    private let mutex: UnsafeMutablePointer<pthread_mutex_t>
    private let condition: UnsafeMutablePointer<pthread_cond_t>
    private var missing: Int

    /// Opens after `count` calls of `arrive`; 0 is open at once.
    package init(count: Int = 1) {
        missing = count
        unsafe mutex = .allocate(capacity: 1)
        unsafe condition = .allocate(capacity: 1)
        unsafe pthread_mutex_init(mutex, nil)
        unsafe pthread_cond_init(condition, nil)
    }

    deinit {
        unsafe pthread_cond_destroy(condition)
        unsafe pthread_mutex_destroy(mutex)
        unsafe condition.deallocate()
        unsafe mutex.deallocate()
    }

    /// One of those that are waited for has come. From any thread.
    package func arrive() {
        unsafe pthread_mutex_lock(mutex)
        missing -= 1
        if missing <= 0 { unsafe pthread_cond_broadcast(condition) }
        unsafe pthread_mutex_unlock(mutex)
    }

    /// Blocks the calling thread until the latch is open.
    package func wait() {
        unsafe pthread_mutex_lock(mutex)
        while missing > 0 { unsafe pthread_cond_wait(condition, mutex) }
        unsafe pthread_mutex_unlock(mutex)
    }
}
