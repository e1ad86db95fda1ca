// SPDX-License-Identifier: Apache-2.0

internal import SpindleCore

/// What to do when accept(2) fails. A table, not a state machine: every error has its row.
enum AcceptPolicy: Equatable {
    /// That connection is gone: take the next.
    case skip
    /// Descriptors ran out: close one waiting connection, then let the listener rest.
    case shed
    /// The kernel is short of something: let the listener rest.
    case rest
    /// Not an error of one connection: log it, let the listener rest.
    case report

    /// accept(2), "Error handling": already-pending network errors are passed on and mean "try again".
    init(_ errno: Errno) {
        switch errno {
        case .interrupted, .connectionAborted, .notPermitted, .protocolError, .timedOut, .hostUnreachable,
            .networkUnreachable, .connectionReset, .notSupported:
            self = .skip
        case .tooManyFiles, .tooManyFilesInSystem: self = .shed
        case .noBufferSpace, .noMemory: self = .rest
        default: self = .report
        }
    }

    /// How long a listener rests before it tries again.
    static let restTime: Duration = .milliseconds(50)
}
