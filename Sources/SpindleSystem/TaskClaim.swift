// SPDX-License-Identifier: Apache-2.0

internal import CTasks

/// Takes tasks over that would go to Swift's global pool.
package enum TaskClaim {
    /// From now on `claim` is asked about every such task, on the thread that gives it: other than 0 takes it over.
    /// One for the process.
    package static func install(_ claim: @escaping @convention(c) (UnsafeMutableRawPointer?) -> CInt) {
        unsafe ct_set_claim(claim)
    }
}
