// SPDX-License-Identifier: Apache-2.0

internal import SpindleSystem

/// Which reactor is this thread's.
extension Reactor {
    /// The reactor that runs on the calling thread, or nil.
    public static var current: Reactor? {
        guard let pointer = unsafe SystemThread.local else { return nil }
        // The mark is set by the reactor itself and taken back before it goes.
        // tidy: allow banned: for callers that keep it; the loop and channels don't come this way
        return unsafe Unmanaged<Reactor>.fromOpaque(pointer).takeUnretainedValue()
    }

    /// Adds a task to the reactor of the calling thread; false when that is none.
    static func append(_ task: UnownedJob) -> Bool {
        guard let pointer = unsafe SystemThread.local else { return false }
        // As in `current`, and not counted as a reference.
        unsafe Unmanaged<Reactor>.fromOpaque(pointer)._withUnsafeGuaranteedRef { $0.tasks.append(task) }
        return true
    }

    /// Runs `body` as if in a turn: for tests and for whoever drives turns by hand. What it has sent is shown at
    /// its end, since no flush may follow.
    package func perform<Result>(_ body: () throws -> Result) rethrows -> Result {
        let previous = unsafe becomeCurrent()
        defer {
            flushMail()
            unsafe resign(previous)
        }
        return try body()
    }

    @unsafe private func becomeCurrent() -> UnsafeMutableRawPointer? {
        let previous = unsafe SystemThread.local
        unsafe SystemThread.setLocal(Unmanaged.passUnretained(self).toOpaque())
        return unsafe previous
    }

    @unsafe private func resign(_ previous: UnsafeMutableRawPointer?) { unsafe SystemThread.setLocal(previous) }

    @inline(__always)
    func preconditionCurrent() {
        precondition(
            unsafe SystemThread.local == Unmanaged.passUnretained(self).toOpaque(),
            "reactor \(index) was called on a thread that it does not run on"
        )
    }
}
