// SPDX-License-Identifier: Apache-2.0

public import SpindleCore
internal import SpindleReactor

/// A result that is to come, for code in callbacks: a value or an error, handed down a chain of callbacks.
///
/// Belongs to one reactor and is used on its thread; no lock, no atomic operation. Callbacks run at once when the
/// result is there, else when it comes. Each gives the next one its result: what it returns, what it throws, or the
/// result of the `Deferred` that it returns. A chain is a line: each `Deferred` has one callback, and what that leads
/// to is the new `Deferred` that `addCallback` returned.
///
///     let page = lookUp(name)
///         .addCallback { address in fetch(address) }      // another Deferred: waited for
///         .addCallback { page in page.title }
///         .addErrback { error in "no title: \(error)" }
///
/// A failure that nobody has looked at when its `Deferred` goes is logged, with the place where the chain began.
/// `async` code waits with `value()`, and is made one with `Deferred.run`.
public final class Deferred<Value> {
    private enum State {
        /// The result is to come.
        case waiting
        /// It came, and nobody has asked for it.
        case called(Result<Value, any Error>)
        /// It was handed to the callback.
        case handed
    }

    private var state = State.waiting
    private var callback: ((Result<Value, any Error>) -> Void)?
    /// What `cancel` does while nothing was called; at the start of a chain.
    private var canceller: ((Deferred<Value>) -> Void)?
    /// Cancels what this one waits for, in the middle of a chain; false when that is gone, and will never come.
    private var cancelSource: (() -> Bool)?
    /// The result that comes after a cancellation is nobody's mistake.
    private var ignoresNextCall = false
    private var origin: Origin

    /// A result that is to come.
    ///
    /// - Parameters:
    ///   - log: Gets the failure that nobody looked at; nil is the log of the reactor on whose thread it goes.
    ///   - file: Where the chain begins, for the log.
    ///   - line: Where the chain begins, for the log.
    ///   - cancel: Stops the work that the result would come of. May `fail` with its own error; otherwise the result is
    ///     `CancellationError`.
    public init(
        log: (any LogSink)? = nil,
        file: StaticString = #fileID,
        line: UInt = #line,
        cancel: ((Deferred<Value>) -> Void)? = nil
    ) {
        origin = Origin(log: log, place: "\(file):\(line)")
        canceller = cancel
    }

    private init(after origin: Origin) { self.origin = origin }

    deinit {
        guard case .called(.failure(let error)) = state else { return }
        origin.report(error)
    }

    /// A result that is there.
    public static func succeeded(_ value: Value, file: StaticString = #fileID, line: UInt = #line) -> Deferred<Value> {
        let deferred = Deferred<Value>(file: file, line: line)
        deferred.state = .called(.success(value))
        return deferred
    }

    /// A failure that is there.
    public static func failed(_ error: any Error, file: StaticString = #fileID, line: UInt = #line) -> Deferred<Value> {
        let deferred = Deferred<Value>(file: file, line: line)
        deferred.state = .called(.failure(error))
        return deferred
    }

    // MARK: The result

    /// True once the result is there, or was.
    public var isCalled: Bool { if case .waiting = state { false } else { true } }

    /// The result is `value`: the callbacks run.
    ///
    /// - Throws: `AlreadyCalled` when there was a result before.
    public func succeed(_ value: Value) throws(AlreadyCalled) { try call(.success(value)) }

    /// The result is `error`: the errbacks run.
    ///
    /// - Throws: `AlreadyCalled` when there was a result before.
    public func fail(_ error: any Error) throws(AlreadyCalled) { try call(.failure(error)) }

    /// The result is this one.
    ///
    /// - Throws: `AlreadyCalled` when there was a result before.
    public func call(_ result: Result<Value, any Error>) throws(AlreadyCalled) {
        guard case .waiting = state else {
            guard ignoresNextCall else { throw AlreadyCalled(place: origin.place) }
            ignoresNextCall = false
            return
        }
        canceller = nil
        state = .called(result)
        handOver()
    }

    /// Gives the callback its result, and those behind it theirs: one after the other, however many there are.
    private func handOver() {
        guard case .called(let result) = state, let callback = callback.take() else { return }
        state = .handed
        cancelSource = nil
        origin.run { callback(result) }
    }

    /// Wants no result any more.
    ///
    /// What the chain waits for is told: its `cancel` closure runs, and unless that called with something else, the
    /// result is `CancellationError`, which goes down the chain like every failure. With a result it does nothing.
    public func cancel() {
        guard case .waiting = state else { return }
        if let cancelSource {
            if !cancelSource() { settle(.failure(CancellationError())) }
            return
        }
        canceller.take()?(self)
        guard case .waiting = state else { return }
        ignoresNextCall = true
        state = .called(.failure(CancellationError()))
        handOver()
    }

    // MARK: The chain

    /// Calls `body` with the result, whatever it is: the end of a chain, or the step to another kind of code.
    ///
    /// Traps when there is a callback already: chain on what `addCallback` returned.
    public func whenCalled(_ body: @escaping (Result<Value, any Error>) -> Void) {
        precondition(
            callback == nil && !isHanded,
            "two callbacks for one Deferred (\(origin.place)): chain on the first's"
        )
        callback = body
        handOver()
    }

    private var isHanded: Bool { if case .handed = state { true } else { false } }

    /// Calls `body` with the result, whatever it is; the next result is what it returns or throws.
    @discardableResult
    public func addBoth<Next>(_ body: @escaping (Result<Value, any Error>) throws -> Next) -> Deferred<Next> {
        let next = Deferred<Next>(after: origin)
        next.cancelSource = { [weak self] in self?.cancel() != nil }
        whenCalled { result in next.settle(Result { try body(result) }) }
        return next
    }

    /// Calls `body` with the result, whatever it is; the next result is that of the `Deferred` that it returns.
    @discardableResult
    public func addBoth<Next>(_ body: @escaping (Result<Value, any Error>) throws -> Deferred<Next>) -> Deferred<Next> {
        let next = Deferred<Next>(after: origin)
        next.cancelSource = { [weak self] in self?.cancel() != nil }
        whenCalled { result in
            do { next.wait(for: try body(result)) } catch { next.settle(.failure(error)) }
        }
        return next
    }

    /// Calls `body` with the value; a failure passes by.
    @discardableResult
    public func addCallback<Next>(_ body: @escaping (Value) throws -> Next) -> Deferred<Next> {
        addBoth { try body($0.get()) }
    }

    /// Calls `body` with the value, and waits for the `Deferred` that it returns; a failure passes by.
    @discardableResult
    public func addCallback<Next>(_ body: @escaping (Value) throws -> Deferred<Next>) -> Deferred<Next> {
        addBoth { (result) throws -> Deferred<Next> in try body(result.get()) }
    }

    /// Calls `body` with the failure, whose result is used instead; a value passes by.
    @discardableResult
    public func addErrback(_ body: @escaping (any Error) throws -> Value) -> Deferred<Value> {
        addBoth { (result) throws -> Value in
            switch result {
            case .success(let value): value
            case .failure(let error): try body(error)
            }
        }
    }

    /// Calls `body` with the failure, and waits for the `Deferred` that it returns; a value passes by.
    @discardableResult
    public func addErrback(_ body: @escaping (any Error) throws -> Deferred<Value>) -> Deferred<Value> {
        addBoth { (result) throws -> Deferred<Value> in
            switch result {
            case .success(let value): .succeeded(value)
            case .failure(let error): try body(error)
            }
        }
    }

    /// The result of a link of a chain. One that was cancelled meanwhile has its result already.
    func settle(_ result: Result<Value, any Error>) {
        guard case .waiting = state else { return }
        cancelSource = nil
        state = .called(result)
        handOver()
    }

    private func wait(for inner: Deferred<Value>) {
        guard case .waiting = state else { return }
        cancelSource = { [weak inner] in inner?.cancel() != nil }
        // Its callbacks run from the same loop: a chain that goes on in another, and so on, takes no stack either.
        inner.origin = origin
        inner.whenCalled { [self] in settle($0) }
    }
}

/// A `Deferred` was called a second time.
public struct AlreadyCalled: Error, CustomStringConvertible {
    /// Where its chain began.
    public let place: String
    /// One line for a log.
    public var description: String { "a Deferred (\(place)) was called twice" }
}

/// What the links of one chain share: where it began, and who runs its callbacks.
final class Origin {
    let place: String
    private let log: (any LogSink)?
    /// Callbacks that are to run, while one does: a chain of any length takes no more of the stack than one callback.
    private var waiting: [() -> Void] = []
    private var isRunning = false

    init(log: (any LogSink)?, place: String) { (self.log, self.place) = (log, place) }

    func run(_ callback: @escaping () -> Void) {
        guard !isRunning else { return waiting.append(callback) }
        isRunning = true
        callback()
        while !waiting.isEmpty { waiting.removeFirst()() }
        isRunning = false
    }

    func report(_ error: any Error) {
        let reactor = Reactor.current
        guard let log = log ?? reactor?.log else { return }
        let message = "nobody handled the failure of a Deferred (\(place)): \(error)"
        log.write(LogRecord(level: .error, message: message, reactor: reactor?.index))
    }
}
