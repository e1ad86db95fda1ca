// SPDX-License-Identifier: Apache-2.0

/// Every contender of a `race` failed.
public struct RaceFailed: Error, CustomStringConvertible {
    /// Their errors, in the order of the contenders.
    public let errors: [any Error]
    /// One line for a log.
    public var description: String { "all \(errors.count) failed: \(errors.map { "\($0)" }.joined(separator: "; "))" }
}

/// The values of all, in their order; the first failure is the result, and the others are cancelled then.
///
/// Cancelling the result cancels them all. Consumes the deferreds: they get no other callback.
public func gatherResults<Value>(_ deferreds: [Deferred<Value>]) -> Deferred<[Value]> {
    var values = [Value?](repeating: nil, count: deferreds.count)
    var missing = deferreds.count
    let all = Deferred<[Value]> { _ in for deferred in deferreds { deferred.cancel() } }
    if deferreds.isEmpty { try? all.succeed([]) }
    for (index, deferred) in deferreds.enumerated() {
        deferred.whenCalled { result in
            guard !all.isCalled else { return }
            switch result {
            case .success(let value):
                values[index] = value
                missing -= 1
                if missing == 0 { try? all.succeed(values.compactMap { $0 }) }
            case .failure(let error):
                try? all.fail(error)
                for other in deferreds { other.cancel() }
            }
        }
    }
    return all
}

/// The value of the first that succeeds, with its index; the others are cancelled then.
///
/// When all fail, so does the result, with `RaceFailed`. Cancelling the result cancels them all. Consumes the
/// deferreds: they get no other callback. Of none, the result is `RaceFailed` at once.
public func race<Value>(_ deferreds: [Deferred<Value>]) -> Deferred<(index: Int, value: Value)> {
    var errors = [(any Error)?](repeating: nil, count: deferreds.count)
    var missing = deferreds.count
    let first = Deferred<(index: Int, value: Value)> { _ in for deferred in deferreds { deferred.cancel() } }
    if deferreds.isEmpty { try? first.fail(RaceFailed(errors: [])) }
    for (index, deferred) in deferreds.enumerated() {
        deferred.whenCalled { result in
            guard !first.isCalled else { return }
            switch result {
            case .success(let value):
                try? first.succeed((index, value))
                for other in deferreds { other.cancel() }
            case .failure(let error):
                errors[index] = error
                missing -= 1
                if missing == 0 { try? first.fail(RaceFailed(errors: errors.compactMap { $0 })) }
            }
        }
    }
    return first
}
