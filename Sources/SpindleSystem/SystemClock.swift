// SPDX-License-Identifier: Apache-2.0

internal import CLinux
package import SpindleCore

/// The machine's clocks.
package enum SystemClock {
    /// CLOCK_MONOTONIC. clock_gettime(2), about 28 ns.
    package static func now() -> MonotonicInstant { MonotonicInstant(nanoseconds: cl_monotonic_nanoseconds()) }

    /// A counter of constant rate, about 8 ns; only differences on one thread mean something.
    package static func ticks() -> UInt64 { cl_ticks() }

    /// The CPU time that the calling thread has used, in nanoseconds.
    package static func threadCPUNanoseconds() -> UInt64 { cl_thread_cpu_nanoseconds() }
}

/// Hints to the processor.
package enum Processor {
    /// Loads the cache line at `address` soon; any address is harmless.
    package static func prefetch(_ address: UnsafeRawPointer) { unsafe cl_prefetch(address) }

    /// Tells the core that this is a spin loop.
    package static func relax() { cl_relax() }
}
