// SPDX-License-Identifier: Apache-2.0

import SpindleCore
import SpindleSystem

/// Ctrl-C and SIGTERM, while there is something to finish first.
final class Interruptions: Sendable {
    private let event: EventDescriptor
    private let catcher: Guarded<SignalCatcher?>

    /// Calls `first` at the first signal, on a thread of its own; a second one ends the program at once.
    init(_ first: @escaping @Sendable () -> Void) throws {
        event = try EventDescriptor()
        let catcher = SignalCatcher(event: event)
        _ = try catcher?.catchSignal(SignalCatcher.interrupt, onlyIfDefault: true)
        _ = try catcher?.catchSignal(SignalCatcher.terminate, onlyIfDefault: true)
        self.catcher = Guarded(catcher)
        try SystemThread.start(name: "spindle-signal") { [event, catcher = self.catcher] in
            event.wait()
            // From now on a signal does what it does to every program.
            catcher.withLock { $0 = nil }
            if !SignalCatcher.take().isEmpty { first() }
        }
    }

    /// Restores the handlers that were there before.
    func stop() {
        catcher.withLock { $0 = nil }
        event.ring()
    }
}
