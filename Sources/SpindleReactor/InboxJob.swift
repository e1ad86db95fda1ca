// SPDX-License-Identifier: Apache-2.0

internal import SpindleSystem

/// What a reactor is to run, from other threads.
final class InboxJob: InboxNode {
    enum Work {
        /// A submitted closure.
        case closure(@Sendable () throws -> Void)
        /// A Swift task that can go on there. Never refused but by an inbox that is closed.
        case task(UnownedJob)
    }

    let work: Work
    init(_ work: Work) { self.work = work }
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
