// SPDX-License-Identifier: Apache-2.0

/// The load of one reactor of the generator: its connections, its clockwork, its figures. Core-local.
///
/// Called in this order; completions may come at once.
protocol LoadWorker: AnyObject {
    var recorder: LoadRecorder { get }
    /// Of what comes and goes beside it, when something does.
    var churnRecorder: LoadRecorder? { get }
    /// Makes what has to stand before the load begins; `completion` follows when it does, or has failed.
    func prepare(completion: @escaping () -> Void)
    /// Waits no longer for what does not stand yet.
    func stopPreparing()
    /// Lets the load begin.
    func begin()
    /// Begins nothing more; `completion` follows when all that was begun has ended.
    func finish(completion: @escaping () -> Void)
}

extension LoadWorker {
    var churnRecorder: LoadRecorder? { nil }
    func stopPreparing() {}
    var recorders: [LoadRecorder] { [recorder] + (churnRecorder.map { [$0] } ?? []) }
}
