// SPDX-License-Identifier: Apache-2.0

internal import CLinux
package import SpindleCore

/// Turns signals into rings of an eventfd, and restores the handlers that were there before. sigaction(2).
///
/// A handler, not signalfd(2): a signal of the process may be delivered to any thread that does not block it,
/// and threads that were started before the mask was set (Swift's pool) do not.
/// One catcher at a time in a process; the engine that runs signals owns it.
package struct SignalCatcher: ~Copyable {
    /// The signals of an engine, by their Linux numbers.
    package static let interrupt: CInt = 2
    package static let user2: CInt = 12
    package static let terminate: CInt = 15

    private let event: EventDescriptor
    private var previous: [(signal: CInt, action: sigaction)] = []

    /// Rings `event` when a caught signal arrives.
    package init(event: EventDescriptor) { self.event = event }

    /// Catches `signal`.
    ///
    /// - Parameter onlyIfDefault: Leave a handler alone that the program installed itself.
    /// - Returns: True when it is caught now.
    package mutating func catchSignal(_ signal: CInt, onlyIfDefault: Bool) throws(Errno) -> Bool {
        var before = sigaction()
        try checked(unsafe cl_catch_signal(signal, event.rawValue, &before))
        if onlyIfDefault, unsafe cl_is_default_action(&before) == 0 {
            try checked(unsafe cl_restore_signal(signal, &before))
            return false
        }
        previous.append((signal, before))
        return true
    }

    /// The signals that arrived since the last call, ascending.
    package static func take() -> [CInt] {
        let bits = cl_take_signals()
        return (0..<64).filter { bits & (1 << UInt64($0)) != 0 }.map { CInt($0) + 1 }
    }

    deinit {
        for index in previous.indices {
            var action = previous[index].action
            _ = unsafe cl_restore_signal(previous[index].signal, &action)
        }
        cl_forget_signal_descriptor()
    }
}
