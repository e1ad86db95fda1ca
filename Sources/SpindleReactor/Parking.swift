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
