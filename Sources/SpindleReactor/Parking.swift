// SPDX-License-Identifier: Apache-2.0

internal import SpindleCore

/// A task that waits on its reactor for something that may never come: when the reactor ends, it goes on all the same.
package struct Parking {
    private let suspension: Suspension
    private let reactor: Reactor?
    private let id: TimerWheel<TimerAction>.ID

    /// Suspends the calling task until `leave` is called, or its reactor ends. On a thread that is no reactor only the
    /// former counts.
    package static nonisolated(nonsending) func wait(_ body: (Parking) -> Void) async {
        await Suspension.wait { body(Parking($0)) }
    }

    /// As `wait`, on a reactor; calls `cancelled` there when the waiting task is cancelled, which should have it go on.
    ///
    /// Isolated explicitly: the closure of `withTaskCancellationHandler` would hop to Swift's pool otherwise.
    package static func wait(
        cancelled: @escaping () -> Void,
        isolation: isolated (any Actor)? = #isolation,
        _ body: (Parking) -> Void
    ) async {
        let cancelled = Foreign(cancelled)
        await withTaskCancellationHandler {
            _ = isolation
            await wait(body)
        } onCancel: {
            cancelled.home.submitAlways { cancelled.take()?() }
        }
    }

    private init(_ suspension: Suspension) {
        self.suspension = suspension
        reactor = Reactor.current
        // A timer that is never due: a reactor that ends resumes whoever has one.
        id =
            reactor?.wheel.schedule(at: Ticks.ceiling(MonotonicInstant(nanoseconds: .max)), .resume(suspension))
            ?? .none
    }

    /// Has the task go on; nothing when it does already. On the reactor where it waits.
    package func leave() {
        guard let reactor else { return suspension.resume() }
        guard Reactor.current === reactor, case .resume(let task)? = reactor.wheel.cancel(id) else { return }
        reactor.resume(task)
    }
}
