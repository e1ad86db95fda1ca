// SPDX-License-Identifier: Apache-2.0

import Glibc
import SpindleLoad
import Synchronization

/// How somebody ends a command that measures, from the first Ctrl-C to the second: what runs is told, and no child
/// outlives the command.
final class RunControl: Sendable {
    private struct State {
        var isEnding = false
        /// The process groups of children that run now.
        var children: Set<Int> = []
        /// What is being measured now.
        var load: LoadProgress?
    }

    private let state = Mutex(State())

    /// Ends what is measured as if its time were up; nothing more begins.
    func end() {
        let load = state.withLock { state in
            state.isEnding = true
            return state.load
        }
        load?.end()
    }

    var isEnding: Bool { state.withLock(\.isEnding) }

    /// A measurement begins; it ends at once when the command is ending.
    func begins(_ load: LoadProgress) {
        let isEnding = state.withLock { state in
            state.load = load
            return state.isEnding
        }
        if isEnding { load.end() }
    }

    func childStarted(_ process: Int) { state.withLock { _ = $0.children.insert(process) } }
    func childEnded(_ process: Int) { state.withLock { _ = $0.children.remove(process) } }

    /// Ends the children at once, because this process ends.
    func endChildren() {
        for child in state.withLock(\.children) { kill(-pid_t(child), SIGTERM) }
    }

    /// Runs `body` while Ctrl-C and SIGTERM end it.
    func whileInterruptible<Output>(_ body: () async throws -> Output) async throws -> Output {
        let interruptions = try Interruptions { [self] in
            end()
        } second: { [self] in
            endChildren()
        }
        defer { interruptions.stop() }
        return try await body()
    }
}
