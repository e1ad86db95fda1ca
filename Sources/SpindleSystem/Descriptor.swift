// SPDX-License-Identifier: Apache-2.0

internal import CLinux
internal import Glibc
package import SpindleCore

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

    /// Writes all of `bytes`, waiting for as long as it takes. write(2), poll(2).
    ///
    /// - Throws: What write(2) says but for EINTR and EAGAIN, as ENOSPC on a full disk; a part may be written then.
    package static func write(_ bytes: [UInt8], to rawValue: CInt) throws(Errno) {
        var start = 0
        while start < bytes.count {
            let count = unsafe bytes.withUnsafeBytes { bytes in
                unsafe cl_write(rawValue, bytes.baseAddress.map { unsafe $0 + start }, bytes.count - start)
            }
            if count >= 0 {
                start += count
            } else if count == -Int(EAGAIN) {
                _ = cl_wait_writable(rawValue)
            } else if count != -Int(EINTR) {
                throw Errno(rawValue: CInt(-count))
            }
        }
    }
}
