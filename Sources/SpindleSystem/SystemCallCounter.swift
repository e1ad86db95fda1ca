// SPDX-License-Identifier: Apache-2.0

internal import CLinux
package import SpindleCore

/// Counts the system calls of threads of any process, by the kernel's tracepoint for them. perf_event_open(2).
///
/// While one exists every system call of the machine takes some hundred nanoseconds more. Needs tracefs, and the right
/// to trace (CAP_PERFMON, or kernel.perf_event_paranoid at -1). From any thread.
package final class SystemCallCounter: Sendable {
    private let descriptors: [Int32]

    /// Where the number of a tracepoint stands, below a mounted tracefs.
    package static let tracepointFiles = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"].map {
        "\($0)/events/raw_syscalls/sys_enter/id"
    }

    /// Counts from now on, for `threads` and those that they start later.
    ///
    /// - Parameter tracepoint: Its number, as one of `tracepointFiles` says.
    /// - Throws: EACCES or EPERM without the right to trace, ESRCH when none of the threads is there any more, ENOSYS
    ///   where a sandbox lacks the call.
    package init(threads: [Int32], tracepoint: UInt64) throws(Errno) {
        var opened: [Int32] = []
        do throws(Errno) {
            for thread in threads {
                do throws(Errno) { opened.append(try checked(cl_count_tracepoint(thread, tracepoint))) } catch {
                    // A thread may have ended since its number was read.
                    guard error == .noSuchProcess else { throw error }
                }
            }
            guard !opened.isEmpty else { throw .noSuchProcess }
        } catch {
            for descriptor in opened { _ = cl_close(descriptor) }
            throw error
        }
        descriptors = opened
    }

    deinit { for descriptor in descriptors { _ = cl_close(descriptor) } }

    /// System calls begun since this counter was made.
    package func read() -> Int {
        descriptors.reduce(0) { sum, descriptor in
            var count: UInt64 = 0
            return unsafe cl_read_count(descriptor, &count) < 0 ? sum : sum + Int(clamping: count)
        }
    }
}
