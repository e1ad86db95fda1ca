// SPDX-License-Identifier: Apache-2.0

internal import SpindleSystem

/// What a reactor is to run, from other threads.
enum InboxJob {
    /// A submitted closure.
    case closure(@Sendable () throws -> Void)
    /// A Swift task that can go on there. Never refused but by an inbox that is closed.
    case task(UnownedJob)
}

extension SubmitResult {
    /// What a push into a reactor's inbox came to.
    init(_ outcome: Inbox<InboxJob>.Outcome) {
        self =
            switch outcome {
            case .pushed: .sent
            case .full: .full
            case .closed: .stopped
            }
    }
}
