// SPDX-License-Identifier: Apache-2.0

internal import Glibc

/// The time of day, for people and logs; it may jump.
package enum WallClock {
    /// Microseconds since 1970. clock_gettime(2), CLOCK_REALTIME.
    package static func now() -> Int64 {
        var time = timespec()
        unsafe clock_gettime(CLOCK_REALTIME, &time)
        return Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_nsec) / 1000
    }

    /// `2026-11-27T09:30:00.123456Z`, in UTC. RFC 3339, gmtime_r(3).
    package static func text(_ microseconds: Int64) -> String {
        var seconds = time_t(microseconds / 1_000_000)
        var parts = unsafe tm()
        unsafe gmtime_r(&seconds, &parts)
        func digits(_ number: Int64, _ count: Int) -> String {
            let text = String(number)
            return String(repeating: "0", count: max(0, count - text.count)) + text
        }
        let date = unsafe [parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday]
        let clock = unsafe [parts.tm_hour, parts.tm_min, parts.tm_sec]
        let texts = [date, clock].map { $0.map { digits(Int64($0), 2) } }
        return texts[0].joined(separator: "-") + "T" + texts[1].joined(separator: ":")
            + ".\(digits(microseconds % 1_000_000, 6))Z"
    }
}
