// SPDX-License-Identifier: Apache-2.0

internal import Glibc

/// The file that this process runs.
package enum OwnProgram {
    /// Its path, by proc(5); nil where there is no /proc.
    package static var path: String? {
        var target = [CChar](repeating: 0, count: Int(PATH_MAX))
        let length = unsafe readlink("/proc/self/exe", &target, target.count)
        guard length > 0 else { return nil }
        return String(decoding: target.prefix(length).map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
