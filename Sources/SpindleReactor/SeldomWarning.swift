// SPDX-License-Identifier: Apache-2.0

internal import SpindleCore

/// What may happen to every client at once: at most one line of each a second. Logs have filled disks that way.
package enum SeldomWarning: Int, CaseIterable, Sendable {
    /// A connection could not be accepted.
    case accepting
    /// A connection could not be passed on to where it should go.
    case forwarding
    /// A connection was refused by a limit or an access list.
    case refusing
    /// A datagram's callback threw.
    case datagramCallback
    /// Datagrams could not be received, or sent.
    case datagramTransfer
}

/// When each kind was logged last, and how many lines were kept back since.
struct SeldomWarnings {
    private var kinds = [(last: MonotonicInstant?, skipped: Int)](
        repeating: (nil, 0),
        count: SeldomWarning.allCases.count
    )

    /// The end of the line, which says how many were kept back; nil when this one is.
    mutating func take(_ kind: SeldomWarning, at now: MonotonicInstant) -> String? {
        if let last = kinds[kind.rawValue].last, last.duration(to: now) < .seconds(1) {
            kinds[kind.rawValue].skipped += 1
            return nil
        }
        let skipped = kinds[kind.rawValue].skipped
        kinds[kind.rawValue] = (now, 0)
        return skipped == 0 ? "" : " (and \(skipped) like it before)"
    }
}

extension Reactor {
    /// Logs a warning unless one of its kind was logged within the last second.
    package func warnSeldom(_ kind: SeldomWarning, _ message: @autoclosure () -> String) {
        guard let end = seldomWarnings.take(kind, at: now) else { return }
        log.write(LogRecord(level: .warning, message: message() + end, reactor: index))
    }
}
