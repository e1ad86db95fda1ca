// SPDX-License-Identifier: Apache-2.0

internal import CLinux
internal import Glibc
package import SpindleCore

/// A counter that wakes an epoll wait when it is written to. eventfd(2).
///
/// Registered edge-triggered, each write is a new event, so the reader never has to read it empty.
package final class EventDescriptor: Sendable {
    /// The kernel's number, for registration.
    package let rawValue: CInt

    /// - Throws: EMFILE, ENFILE, ENODEV or ENOMEM.
    package init() throws(Errno) { rawValue = try checked(cl_eventfd()) }

    /// Blocks the calling thread until the counter is rung, and clears it. poll(2), read(2).
    package func wait() {
        while cl_eventfd_clear(rawValue) < 0 { _ = cl_wait_readable(rawValue) }
    }

    deinit { Descriptor.close(rawValue) }

    /// Wakes the waiter. From any thread.
    package func ring() {
        let result = cl_eventfd_ring(rawValue)
        // The counter is full after 2^64-2 rings without a read: clear it, and the event is still an edge.
        if result == -EAGAIN {
            _ = cl_eventfd_clear(rawValue)
            _ = cl_eventfd_ring(rawValue)
        }
    }
}
