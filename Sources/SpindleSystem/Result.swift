// SPDX-License-Identifier: Apache-2.0

internal import SpindleCore

/// Turns the shim's "result or -errno" into a value or a thrown `Errno`.
@discardableResult
func checked(_ result: CInt) throws(Errno) -> CInt {
    guard result < 0 else { return result }
    throw Errno(rawValue: -result)
}
