// SPDX-License-Identifier: Apache-2.0

internal import CLinux
package import SpindleCore
internal import Synchronization

/// Turns signals into rings of an eventfd, and restores the handlers that were there before. sigaction(2).
///
/// A handler, not signalfd(2): a signal of the process may be delivered to any thread that does not block it,
/// and threads that were started before the mask was set (Swift's pool) do not.
/// One catcher at a time in a process; the engine that runs signals owns it.
package final class SignalCatcher {
    /// The signals of an engine, by their Linux numbers.
    package static let interrupt: CInt = 2
    package static let user2: CInt = 12
    package static let terminate: CInt = 15

    private let event: EventDescriptor
    private var caught: [CInt] = []

    private static let isTaken = Atomic<Bool>(false)

    /// Rings `event` when a caught signal arrives; nil while the process has another catcher.
    package init?(event: EventDescriptor) {
        guard !SignalCatcher.isTaken.exchange(true, ordering: .acquiringAndReleasing) else { return nil }
        self.event = event
    }

    /// Catches `signal`.
    ///
    /// - Parameter onlyIfDefault: Leave a handler alone that the program installed itself.
    /// - Returns: True when it is caught now.
    package func catchSignal(_ signal: CInt, onlyIfDefault: Bool) throws(Errno) -> Bool {
        guard try checked(cl_catch_signal(signal, event.rawValue, onlyIfDefault ? 1 : 0)) == 1 else { return false }
        caught.append(signal)
        return true
    }

    /// The signals that arrived since the last call, ascending.
    package static func take() -> [CInt] {
        let bits = cl_take_signals()
        return (0..<64).filter { bits & (1 << UInt64($0)) != 0 }.map { CInt($0) + 1 }
    }

    deinit {
        for signal in caught { _ = cl_restore_signal(signal) }
        cl_forget_signal_descriptor()
        SignalCatcher.isTaken.store(false, ordering: .releasing)
    }
}
