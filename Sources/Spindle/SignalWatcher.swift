// SPDX-License-Identifier: Apache-2.0

internal import SpindleCore
internal import SpindleReactor
internal import SpindleSystem
internal import Synchronization

/// Turns SIGINT and SIGTERM into a stop of the engine, and SIGUSR2 into a dump of the flight recorders.
final class SignalWatcher: Sendable {
    private let engine: Engine
    private let event: EventDescriptor
    private let catcher: Guarded<SignalCatcher?>
    private let isStopped = Atomic<Bool>(false)

    /// Installs the handlers; the ones before are kept for `stop`.
    init(engine: Engine) throws {
        self.engine = engine
        event = try EventDescriptor()
        guard engine.phase == .idle else { throw StartError.alreadyRunning }
        guard let catcher = SignalCatcher(event: event) else { throw StartError.signalsTaken }
        _ = try catcher.catchSignal(SignalCatcher.terminate, onlyIfDefault: false)
        _ = try catcher.catchSignal(SignalCatcher.interrupt, onlyIfDefault: true)
        _ = try catcher.catchSignal(SignalCatcher.user2, onlyIfDefault: true)
        self.catcher = Guarded(catcher)
    }

    /// Waits for signals on a thread of its own.
    func start() {
        do throws(Errno) {
            try SystemThread.start(name: "spindle-signal") { [self] in watch() }
        } catch {
            engine.log.write(LogRecord(level: .error, message: "no thread for signals (\(error)): they are ignored"))
        }
    }

    /// Restores the handlers that were there before.
    func stop() {
        isStopped.store(true, ordering: .releasing)
        event.ring()
        catcher.withLock { $0 = nil }
    }

    private func watch() {
        var isStopping = false
        while true {
            event.wait()
            if isStopped.load(ordering: .acquiring) { return }
            for signal in SignalCatcher.take() {
                switch signal {
                case SignalCatcher.user2: engine.dumpFlightRecorders()
                case _ where isStopping:
                    Task.detached { [engine] in await engine.stopNow() }
                default:
                    isStopping = true
                    let message = "signal \(signal): draining, at most \(engine.configuration.drainTimeout); again: now"
                    engine.log.write(LogRecord(level: .info, message: message))
                    Task.detached { [engine] in await engine.stop() }
                }
            }
        }
    }
}
