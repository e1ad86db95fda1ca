// SPDX-License-Identifier: Apache-2.0

internal import CLinux
package import SpindleCore

/// How many descriptors the process may have open. getrlimit(2), RLIMIT_NOFILE.
package struct DescriptorLimit: Equatable, Sendable {
    /// The limit in force.
    package let soft: UInt64
    /// How far an ordinary process may raise it.
    package let hard: UInt64

    /// The limits at this moment.
    package static func current() throws(Errno) -> DescriptorLimit {
        var soft: UInt64 = 0
        var hard: UInt64 = 0
        try checked(unsafe cl_descriptor_limit(&soft, &hard))
        return DescriptorLimit(soft: soft, hard: hard)
    }

    /// Raises the limit in force to `count`, at most to the hard limit; never lowers it.
    ///
    /// - Returns: The limits afterwards.
    package static func raise(to count: UInt64) throws(Errno) -> DescriptorLimit {
        let now = try current()
        guard now.soft < count, now.soft < now.hard else { return now }
        try checked(cl_set_descriptor_limit(min(count, now.hard), now.hard))
        return try current()
    }

    /// Sets the limit in force, lower or higher. For tests.
    package static func setSoft(to count: UInt64) throws(Errno) {
        try checked(cl_set_descriptor_limit(count, try current().hard))
    }

    /// Makes the process's table of descriptors large enough for `count` of them, now.
    ///
    /// The kernel doubles the table when it is full, and in a process with threads whoever needed the descriptor
    /// then waits for an RCU grace period: accept(2) took 10 to 33 ms at the 256th, 512th, 1024th … connection.
    /// A table never shrinks. Costs 8 bytes of the kernel's memory for each; a refusal costs only those waits.
    package static func growTable(to count: Int) { cl_grow_descriptor_table(CInt(clamping: count)) }

    /// A descriptor that is held only to be closed when the table is full (`/dev/null`), or nil.
    package static func reserve() -> CInt? {
        let descriptor = cl_open_null()
        return descriptor < 0 ? nil : descriptor
    }
}
