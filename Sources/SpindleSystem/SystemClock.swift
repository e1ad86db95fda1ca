// SPDX-License-Identifier: Apache-2.0

public import CLinux
public import SpindleCore

/// The machine's clocks.
public enum SystemClock {
    /// CLOCK_MONOTONIC. clock_gettime(2), about 28 ns.
    @inlinable public static func now() -> MonotonicInstant {
        MonotonicInstant(nanoseconds: cl_monotonic_nanoseconds())
    }

    /// A counter of constant rate, about 8 ns; only differences on one thread mean something.
    @inlinable public static func ticks() -> UInt64 { cl_ticks() }

    /// The CPU time that the calling thread has used, in nanoseconds.
    @inlinable public static func threadCPUNanoseconds() -> UInt64 { cl_thread_cpu_nanoseconds() }
}

/// Hints to the processor.
public enum Processor {
    /// Loads the cache line at `address` soon; any address is harmless.
    @inlinable public static func prefetch(_ address: UnsafeRawPointer) { unsafe cl_prefetch(address) }

    /// Tells the core that this is a spin loop.
    @inlinable public static func relax() { cl_relax() }
}
