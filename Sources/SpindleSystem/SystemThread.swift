// SPDX-License-Identifier: Apache-2.0

public import CLinux
internal import Glibc
package import SpindleCore

/// A POSIX thread. pthreads(7).
public enum SystemThread {
    private final class Start {
        let body: @Sendable () -> Void
        init(_ body: @escaping @Sendable () -> Void) { self.body = body }
    }

    /// Runs `body` on a new thread, detached; `name` is cut to 15 bytes (pthread_setname_np(3)).
    ///
    /// - Throws: EAGAIN when the limit on threads is reached.
    package static func start(name: String, _ body: @escaping @Sendable () -> Void) throws(Errno) {
        let inheritsBlock = cl_has_blocked_broken_pipes() != 0
        let start = Start {
            if inheritsBlock { cl_unblock_broken_pipes() }
            unsafe cl_name_thread(String(decoding: name.utf8.prefix(15), as: UTF8.self))
            body()
        }
        var attributes = pthread_attr_t()
        unsafe pthread_attr_init(&attributes)
        unsafe pthread_attr_setdetachstate(&attributes, CInt(PTHREAD_CREATE_DETACHED))
        defer { unsafe pthread_attr_destroy(&attributes) }
        var thread = pthread_t()
        let box = unsafe Unmanaged.passRetained(start)
        let code = unsafe pthread_create(
            &thread,
            &attributes,
            { argument in
                // The box was retained for this thread alone.
                if let argument = unsafe argument {
                    unsafe Unmanaged<Start>.fromOpaque(argument).takeRetainedValue().body()
                }
                return nil
            },
            unsafe box.toOpaque()
        )
        guard code == 0 else {
            unsafe box.release()
            throw Errno(rawValue: code)
        }
    }

    /// Lets other threads of this CPU run. sched_yield(2).
    package static func yield() { cl_yield() }

    /// Runs `body`, in which a write to a pipe without readers fails with EPIPE and does not end the process.
    /// pthread_sigmask(3), sigtimedwait(2).
    package static func withoutBrokenPipeSignal<Result>(_ body: () -> Result) -> Result {
        var (signals, before) = (sigset_t(), sigset_t())
        unsafe sigemptyset(&signals)
        unsafe sigaddset(&signals, SIGPIPE)
        unsafe pthread_sigmask(SIG_BLOCK, &signals, &before)
        let result = body()
        // Somebody else's when it was blocked before.
        if unsafe sigismember(&before, SIGPIPE) == 0 {
            var now = timespec()
            _ = unsafe sigtimedwait(&signals, nil, &now)
            unsafe pthread_sigmask(SIG_SETMASK, &before, nil)
        }
        return result
    }

    /// From now on, a write to a pipe or socket without readers fails with EPIPE on this thread and does not end the
    /// process. Threads that `start` makes from here are as before; others, and programs, inherit the block.
    /// pthread_sigmask(3).
    package static func blockBrokenPipeSignal() { cl_block_broken_pipes() }

    /// The kernel's number of the calling thread. gettid(2).
    package static var currentID: Int32 { cl_thread_id() }

    /// The CPU that the calling thread runs on at this moment. sched_getcpu(3).
    package static var currentCPU: Int { Int(cl_current_cpu()) }

    /// Restricts the calling thread to `cpus` (ids of any size). sched_setaffinity(2).
    ///
    /// - Throws: EINVAL when none of them is usable, EPERM in a sandbox.
    package static func setAffinity(_ cpus: [Int]) throws(Errno) {
        let words = (cpus.max() ?? 0) / 64 + 1
        var mask = [UInt64](repeating: 0, count: words)
        for cpu in cpus { mask[cpu / 64] |= 1 << UInt64(cpu % 64) }
        try checked(unsafe cl_set_affinity(mask, mask.count))
    }

    /// The CPUs that the calling thread may run on, ascending. sched_getaffinity(2).
    package static func affinity() throws(Errno) -> [Int] {
        var mask = [UInt64](repeating: 0, count: 1024 / 64)
        while true {
            let result = unsafe cl_get_affinity(&mask, mask.count)
            // EINVAL: the kernel's mask is longer than ours.
            if result == -EINVAL, mask.count < 1 << 14 {
                mask = [UInt64](repeating: 0, count: mask.count * 2)
                continue
            }
            try checked(result)
            return mask.indices.flatMap { word in
                (0..<64).filter { mask[word] & (1 << UInt64($0)) != 0 }.map { word * 64 + $0 }
            }
        }
    }

    /// What the calling thread was marked with, or nil: one load.
    @inlinable public static var local: UnsafeMutableRawPointer? { unsafe cl_current_reactor() }

    /// Marks the calling thread.
    @inlinable public static func setLocal(_ value: UnsafeMutableRawPointer?) { unsafe cl_set_current_reactor(value) }
}
