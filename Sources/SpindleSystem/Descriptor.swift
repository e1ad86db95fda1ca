// SPDX-License-Identifier: Apache-2.0

internal import CLinux
internal import Glibc

/// A file descriptor with one owner: closed when the owner lets go of it.
package struct Descriptor: ~Copyable {
    /// The kernel's number.
    package let rawValue: CInt

    /// Takes over the descriptor `rawValue`, which nobody else may close.
    package init(owning rawValue: CInt) {
        precondition(rawValue >= 0, "not a descriptor: \(rawValue)")
        self.rawValue = rawValue
    }

    deinit { Descriptor.close(rawValue) }

    /// close(2). EINTR closes too on Linux; EBADF means that our own bookkeeping is wrong.
    package static func close(_ rawValue: CInt) {
        let result = cl_close(rawValue)
        precondition(result != -EBADF, "close(\(rawValue)): not an open descriptor")
    }
}
