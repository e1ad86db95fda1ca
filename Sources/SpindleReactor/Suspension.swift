// SPDX-License-Identifier: Apache-2.0

/// A task that waits on its reactor until something has happened there. Resumed once, by whoever takes it from where
/// it was left; the task looks for itself what has changed.
@safe package struct Suspension {
    private let continuation: UnsafeContinuation<Void, Never>

    /// Suspends the calling task; `body` puts it where those look who are to resume it.
    package static nonisolated(nonsending) func wait(_ body: (Suspension) -> Void) async {
        unsafe await withUnsafeContinuation { continuation in body(unsafe Suspension(continuation)) }
    }

    @unsafe init(_ continuation: UnsafeContinuation<Void, Never>) { unsafe self.continuation = unsafe continuation }

    /// Has the task go on. On its reactor, use `Reactor.resume`, which keeps it there.
    func resume() { unsafe continuation.resume() }

    /// Has the task go on, on the reactor of the calling thread when there is one.
    package func resumeHere() {
        if let reactor = Reactor.current { reactor.resume(self) } else { resume() }
    }
}
