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
            guard isAvailable else { throw .notImplemented }
            let mask = NodeMask.words(of: node)
            try checked(unsafe cn_prefer(mask, NodeMask.bitCount(mask)))
        #else
            throw .notImplemented
        #endif
    }

    /// Takes the calling thread's new memory from wherever is near again. set_mempolicy(2), MPOL_DEFAULT.
    ///
    /// - Throws: ENOSYS without NUMA, EPERM in a sandbox.
    package static func reset() throws(Errno) {
        #if NUMA
            guard isAvailable else { throw .notImplemented }
            try checked(cn_reset())
        #else
            throw .notImplemented
        #endif
    }

    /// True when the kernel and this build have NUMA. numa_available(3).
    package static var isAvailable: Bool {
        #if NUMA
            cn_available() == 1
        #else
            false
        #endif
    }

    /// The policy of the calling thread: the preferred node, or nil for another policy.
    package static func preferredNode() -> Int? {
        #if NUMA
            guard isAvailable else { return nil }
            var mask = [UInt](repeating: 0, count: 16)
            guard unsafe cn_preferred(&mask, UInt(mask.count * 64)) == 1 else { return nil }
            for (word, bits) in mask.enumerated() where bits != 0 { return word * 64 + bits.trailingZeroBitCount }
            return nil
        #else
            return nil
        #endif
    }
}

/// A set of one node as the kernel takes it: words of bits, and their number plus one (a quirk of these calls).
private enum NodeMask {
    static func words(of node: Int) -> [UInt] {
        var mask = [UInt](repeating: 0, count: node / 64 + 1)
        mask[node / 64] |= 1 << UInt(node % 64)
        return mask
    }

    static func bitCount(_ mask: [UInt]) -> UInt { UInt(mask.count * 64 + 1) }
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
        let mask = NodeMask.words(of: node)
        _ = unsafe cl_prefer_node(base, byteCount, mask, NodeMask.bitCount(mask))
    }

    deinit { _ = unsafe cl_unmap(base, byteCount) }
}
