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

    /// A descriptor that is held only to be closed when the table is full (`/dev/null`), or nil.
    package static func reserve() -> CInt? {
        let descriptor = cl_open_null()
        return descriptor < 0 ? nil : descriptor
    }
}
