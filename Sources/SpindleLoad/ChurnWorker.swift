// SPDX-License-Identifier: Apache-2.0

/// A load over connections that stay, and beside it connections that come and go: two workers of one reactor, each
/// with figures of its own.
final class ChurnWorker: LoadWorker {
    private let steady: any LoadWorker
    private let churn: any LoadWorker

    init(_ steady: any LoadWorker, beside churn: any LoadWorker) {
        self.steady = steady
        self.churn = churn
    }

    var recorder: LoadRecorder { steady.recorder }
    var churnRecorder: LoadRecorder? { churn.recorder }

    func prepare(completion: @escaping () -> Void) {
        steady.prepare { [churn] in churn.prepare(completion: completion) }
    }

    func stopPreparing() {
        steady.stopPreparing()
        churn.stopPreparing()
    }

    func begin() {
        steady.begin()
        churn.begin()
    }

    /// What comes and goes first, so that neither counts what happens after the end of the other.
    func finish(completion: @escaping () -> Void) {
        var missing = 2
        let one = {
            missing -= 1
            if missing == 0 { completion() }
        }
        churn.finish(completion: one)
        steady.finish(completion: one)
    }
}
