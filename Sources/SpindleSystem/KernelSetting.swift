// SPDX-License-Identifier: Apache-2.0

internal import CLinux

/// What the kernel was set to. proc(5), /proc/sys.
package enum KernelSetting {
    /// The longest backlog that listen(2) grants: net.core.somaxconn; nil where that cannot be read.
    package static var maximumBacklog: Int? { number("/proc/sys/net/core/somaxconn") }

    private static func number(_ path: String) -> Int? {
        var buffer = [UInt8](repeating: 0, count: 32)
        let count = unsafe cl_read_file(path, &buffer, buffer.count)
        guard count > 0 else { return nil }
        return Int(
            String(decoding: buffer.prefix { $0 >= UInt8(ascii: "0") && $0 <= UInt8(ascii: "9") }, as: UTF8.self)
        )
    }
}
