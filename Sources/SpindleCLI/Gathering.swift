// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// A place where tasks wait until all of them have come.
final class Gathering: Sendable {
    private let state: Mutex<(missing: Int, waiting: [CheckedContinuation<Void, Never>])>

    init(_ count: Int) { state = Mutex((count, [])) }

    func arrive() { letGo { $0 - 1 } }

    /// Waits for nobody any more.
    func open() { letGo { _ in 0 } }

    private func letGo(_ change: (Int) -> Int) {
        let waiting = state.withLock { state in
            state.missing = change(state.missing)
            guard state.missing <= 0 else { return [CheckedContinuation<Void, Never>]() }
            defer { state.waiting = [] }
            return state.waiting
        }
        for continuation in waiting { continuation.resume() }
    }

    func wait() async {
        await withCheckedContinuation { continuation in
            let isOpen = state.withLock { state in
                if state.missing > 0 { state.waiting.append(continuation) }
                return state.missing <= 0
            }
            if isOpen { continuation.resume() }
        }
    }
}
