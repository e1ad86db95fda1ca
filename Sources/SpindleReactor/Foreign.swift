// SPDX-License-Identifier: Apache-2.0

/// Carries a value of one reactor through others: it is used and destroyed on its own only.
///
/// The value need not be Sendable. What travels, and may be copied and dropped anywhere, is this reference to it; when
/// the last one goes, the value goes home to be destroyed there. After its reactor has stopped nobody else uses the
/// value any more, and it is destroyed where the last reference was.
///
///     let session = Foreign(session)                    // on the reactor that made it
///     channel.send(session, to: other)                  // seen there, sent back, kept …
///     try await session.use { $0.finish(answer) }       // … and used at home
// Sendable: the value is touched on its reactor's thread only, or when that has stopped and nobody else has it.
public final class Foreign<Value>: @unchecked Sendable {
    /// The reactor that the value belongs to.
    public let home: ReactorHandle
    private var value: Value?

    /// Traps on a thread that is no reactor.
    ///
    /// - Parameter value: Belongs to the reactor of the calling thread.
    public init(_ value: Value) {
        guard let reactor = Reactor.current else { preconditionFailure("a value without a reactor to be at home on") }
        home = reactor.handle
        self.value = value
    }

    deinit {
        guard Reactor.current?.handle !== home, value != nil else { return }
        // Destroyed by the job, which runs at home, and not with it: whoever submits it may let go of it last. Here,
        // when there is no home any more.
        let passenger = Passenger(value.take())
        home.submitAlways { passenger.value = nil }
    }

    /// Calls `body` with the value. At home; traps elsewhere.
    public func withValue<Result>(_ body: (Value) throws -> Result) rethrows -> Result {
        home.checkIsolated()
        guard let value else { preconditionFailure("the value is gone: `take` was called") }
        return try body(value)
    }

    /// Gives the value back to code of its reactor: at home, once; traps elsewhere, nil after the first call.
    public func take() -> Value? {
        home.checkIsolated()
        return value.take()
    }

    /// Goes home, calls `body` with the value there and returns with the result. From anywhere.
    public func use<Result: Sendable>(
        _ body: @Sendable (Value) throws -> Result
    ) async rethrows -> Result {
        try await home.execute { _ in try self.withValue(body) }
    }
}

/// A value on its way home.
// Sendable: nobody but the job at home touches the value, or nobody at all.
private final class Passenger<Value>: @unchecked Sendable {
    var value: Value?
    init(_ value: consuming Value?) { self.value = value }
}
