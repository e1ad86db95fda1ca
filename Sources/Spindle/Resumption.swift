// SPDX-License-Identifier: Apache-2.0

internal import SpindleSystem

/// Resumes a continuation once, at the latest when nobody holds on to it any more.
///
/// A job for a reactor may be dropped, when the reactor stops first; whoever waits for it must not wait for ever.
final class Resumption: Sendable {
    private let continuation: Guarded<CheckedContinuation<Void, Never>?>

    init(_ continuation: CheckedContinuation<Void, Never>) { self.continuation = Guarded(continuation) }

    deinit { resume() }

    func resume() { continuation.withLock { $0.take() }?.resume() }
}
