// SPDX-License-Identifier: Apache-2.0

import Glibc
import SpindleCore
import SpindleSystem

/// Ctrl-C and SIGTERM, while there is something to finish first.
final class Interruptions: Sendable {
    private let event: EventDescriptor
    private let catcher: Guarded<SignalCatcher?>

    /// - Parameters:
    ///   - first: Called at the first signal, on a thread of its own.
    ///   - second: Called at the second one; then the program ends at once.
    init(_ first: @escaping @Sendable () -> Void, second: @escaping @Sendable () -> Void) throws {
        event = try EventDescriptor()
        let catcher = SignalCatcher(event: event)
        _ = try catcher?.catchSignal(SignalCatcher.interrupt, onlyIfDefault: true)
        _ = try catcher?.catchSignal(SignalCatcher.terminate, onlyIfDefault: true)
        self.catcher = Guarded(catcher)
        try SystemThread.start(name: "spindle-signal") { [event, catcher = self.catcher] in
            event.wait()
            guard !SignalCatcher.take().isEmpty else { return catcher.withLock { $0 = nil } }
            first()
            event.wait()
            guard !SignalCatcher.take().isEmpty else { return catcher.withLock { $0 = nil } }
            second()
            _exit(ExitStatus.interrupted)
        }
    }

    /// Restores the handlers that were there before.
    func stop() {
        catcher.withLock { $0 = nil }
        event.ring()
    }
}
