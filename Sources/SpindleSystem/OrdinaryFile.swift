// SPDX-License-Identifier: Apache-2.0

internal import CLinux
package import SpindleCore

/// Files of disks.
package enum OrdinaryFile {
    /// Opens the file and reads a byte: for a clear reason when others could not. open(2), read(2).
    ///
    /// - Throws: ENOENT, EACCES, EISDIR and others.
    package static func checkReadable(_ path: String) throws(Errno) {
        var byte: UInt8 = 0
        let count = unsafe cl_read_file(path, &byte, 1)
        if count < 0 { throw Errno(rawValue: CInt(-count)) }
    }
}
