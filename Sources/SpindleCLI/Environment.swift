// SPDX-License-Identifier: Apache-2.0

import Glibc

/// The process's environment.
enum Environment {
    /// Every `SPINDLE_*` variable.
    static var all: [String: String] {
        var found: [String: String] = [:]
        var entry = unsafe environ
        while let text = unsafe entry.pointee {
            let pair = unsafe String(cString: text).split(
                separator: "=",
                maxSplits: 1,
                omittingEmptySubsequences: false
            )
            if pair.count == 2, pair[0].hasPrefix("SPINDLE_") { found[String(pair[0])] = String(pair[1]) }
            unsafe entry += 1
        }
        return found
    }
}
