// SPDX-License-Identifier: Apache-2.0

internal import CLinux
package import SpindleCore

#if NUMA
internal import CNUMA
#endif

/// Where memory comes from on a machine with several NUMA nodes. numa(7).
package enum MemoryPolicy {
    /// Lets the calling thread's new memory come from `node` as long as that has some. set_mempolicy(2).
    ///
    /// - Throws: ENOSYS without NUMA in the kernel or in this build, EPERM in a sandbox, EINVAL for a node
    ///   without memory. The caller says so once and runs on.
    package static func prefer(node: Int) throws(Errno) {
        #if NUMA
        guard numa_available() >= 0 else { throw .notImplemented }
        var mask = MemoryPolicy.mask(node)
        let words = UInt(mask.count * 64 + 1)
        let result = unsafe set_mempolicy(CInt(MPOL_PREFERRED), &mask, words)
        if result != 0 { throw Errno(rawValue: Glibc_errno()) }
        #else
        throw .notImplemented
        #endif
    }

    /// The policy of the calling thread: the preferred node, or nil for the kernel's default.
    package static func preferredNode() -> Int? {
        #if NUMA
        guard numa_available() >= 0 else { return nil }
        var mode: CInt = 0
        var mask = [UInt](repeating: 0, count: 16)
        guard unsafe get_mempolicy(&mode, &mask, UInt(mask.count * 64), nil, 0) == 0, mode == MPOL_PREFERRED
        else { return nil }
        for (word, bits) in mask.enumerated() where bits != 0 { return word * 64 + bits.trailingZeroBitCount }
        return nil
        #else
        return nil
        #endif
    }

    #if NUMA
    private static func mask(_ node: Int) -> [UInt] {
        var mask = [UInt](repeating: 0, count: node / 64 + 1)
        mask[node / 64] |= 1 << UInt(node % 64)
        return mask
    }

    /// libnuma's calls report through the C variable, which is read here and nowhere else.
    private static func Glibc_errno() -> Int32 { unsafe __errno_location().pointee }
    #endif
}

/// Zeroed pages straight from the kernel, bound to a node where that works. mmap(2), mbind(2).
@safe package struct PageMemory: ~Copyable {
    /// The first byte; aligned to a page.
    package let base: UnsafeMutableRawPointer
    /// How many bytes were mapped.
    package let byteCount: Int

    /// - Parameter node: The preferred NUMA node, or nil; a refusal is not an error, memory is memory.
    /// - Throws: ENOMEM.
    package init(byteCount: Int, node: Int?) throws(Errno) {
        precondition(byteCount > 0, "cannot map \(byteCount) bytes")
        guard let memory = unsafe cl_map(byteCount) else { throw .noMemory }
        unsafe base = unsafe memory
        self.byteCount = byteCount
        guard let node else { return }
        var mask = [UInt](repeating: 0, count: node / 64 + 1)
        mask[node / 64] |= 1 << UInt(node % 64)
        _ = unsafe cl_prefer_node(base, byteCount, &mask, UInt(mask.count * 64 + 1))
    }

    deinit { _ = unsafe cl_unmap(base, byteCount) }
}
