// SPDX-License-Identifier: Apache-2.0

/// A task that waits on its reactor until something has happened there. Resumed once, by whoever takes it from where
/// it was left; the task looks for itself what has changed.
@safe struct Suspension {
    private let continuation: UnsafeContinuation<Void, Never>

    /// Suspends the calling task; `body` puts it where those look who are to resume it.
    static nonisolated(nonsending) func wait(_ body: (Suspension) -> Void) async {
        unsafe await withUnsafeContinuation { continuation in body(unsafe Suspension(continuation)) }
    }

    @unsafe init(_ continuation: UnsafeContinuation<Void, Never>) { unsafe self.continuation = unsafe continuation }

    func resume() { unsafe continuation.resume() }
}
