// SPDX-License-Identifier: Apache-2.0

public import SpindleCore
internal import SpindleSystem

/// A TCP connection as an `async` handler sees it: bytes are asked for, and writing waits while too much is unsent.
///
/// It belongs to the task that `Engine.serve` started for it and lives on that task's reactor: it is not Sendable, and
/// no call hops to another thread. One task may read and another of the same reactor write.
///
///     try engine.serve(on: .any(port: 7000)) { connection in
///         while try await connection.read({ connection.write($0) }) != nil {}
///     }
///
/// When the handler returns, what was written is sent and the connection closed; when it throws, the connection is
/// reset. The end of the peer's bytes is nil from `read`; a connection that broke is a thrown `ConnectionLost`; a
/// cancelled task is a thrown `CancellationError`. While the engine drains, `read` returns nil and writing still works.
public final class StreamConnection {
    let connection: Connection
    /// The same, for what every message does: not counted.
    private let borrowed: BorrowedConnection
    @usableFromInline let room: WaitingRoom
    private var writer: Suspension?
    /// Why the connection ended; nil while it has not.
    private(set) var reason: DisconnectReason?
    /// The task that the engine started for it: cancelled when the engine stops.
    private var handler: Task<Void, Never>?
    /// The same, to be compared.
    private var handlerIdentity = TaskIdentity.none

    init(_ connection: Connection) {
        self.connection = connection
        borrowed = BorrowedConnection(connection)
        room = connection.reactor.waitingRoom
        connection.state.flags.insert(.pulled)
    }

    /// The other end. Readable for ever.
    public var peerAddress: SocketAddress { connection.peerAddress }
    /// This end. Readable for ever.
    public var localAddress: SocketAddress { connection.localAddress }
    /// Identifies the connection in logs: counted from 1 on each reactor.
    public var connectionNumber: UInt64 { connection.connectionNumber }
    /// The reactor that it lives on.
    public var reactor: ReactorHandle { connection.reactor.handle }
    /// The bytes that were written and not yet taken by the kernel.
    public var bufferedByteCount: Int { reason == nil ? connection.bufferedByteCount : 0 }
    /// False once nothing that is written can arrive.
    public var isWritable: Bool { reason == nil && connection.isWritable }

    /// True when the peer's own end was read: not when this side closes, or the engine drains.
    package var hasPeerEnded: Bool { connection.state.flags.contains(.inputEnded) }

    /// Called when the engine begins to drain while no task has the connection to itself: nobody would notice.
    package var whenDraining: (() -> Void)?

    /// True while nothing has come that nobody has read, the end included, and writing works: it may serve another.
    package var isQuiet: Bool {
        isWritable
            && connection.state.flags.isDisjoint(with: [.inputWaits, .inputEnded, .inputIsFinal, .inputKept])
            && connection.bufferedByteCount == 0
    }

    // MARK: Reading

    /// Waits for bytes and shows them to `body`, without a copy.
    ///
    /// Bytes that nobody asks for stay in the kernel, which slows the peer down. While more is unsent than the high
    /// watermark, reading waits, so that an echo is bounded by itself. One task may read at a time.
    ///
    /// - Parameter body: Called once with at least 1 byte, at most the engine's receive buffer; valid during the call
    ///   only. What it writes leaves in one system call when it returns.
    /// - Returns: What `body` returned; nil when no more bytes come.
    /// - Throws: `ConnectionLost` when the connection broke, `CancellationError` in a cancelled task, and what `body`
    ///   throws.
    @inlinable
    public nonisolated(nonsending) func read<Result>(
        _ body: (Span<UInt8>) throws -> Result
    ) async throws -> Result? {
        while true {
            switch try pull() {
            case .bytes(let lent):
                defer { pullEnded() }
                return try body(unsafe lent.pointer.span)
            case .end: return nil
            case .none:
                if ownTaskIsPrepared() { await room.wait() } else { try await waitForInput() }
            }
        }
    }

    /// Waits for bytes and returns a copy of them, which may be kept and sent to other reactors.
    ///
    /// - Returns: At least 1 byte; nil when no more bytes come.
    /// - Throws: As `read(_:)`.
    public nonisolated(nonsending) func read() async throws -> ByteChunk? {
        try await read { [connection] in ByteChunk(copying: $0, from: connection.reactor.pool) }
    }

    @usableFromInline
    func pull() throws -> PullOutcome {
        if reason != nil { return try pullAfterEnd() }
        var outcome = PullOutcome.end
        borrowed.use { outcome = $0.pull() }
        return outcome
    }

    @usableFromInline
    func pullEnded() { borrowed.use { if $0.reactor.isRunningStep { $0.pullEnded() } } }

    /// Throws what the end of the connection means for who reads; an orderly one is the end of the bytes.
    @inline(never)
    private func pullAfterEnd() throws -> PullOutcome {
        if Task.isCancelled { throw CancellationError() }
        if let reason { if case .done = reason {} else { throw ConnectionLost(reason: reason) } }
        return .end
    }

    /// Prepares the room for the handler's own task: that one is cancelled by the connection's end alone, which resumes
    /// whoever waits. False for other tasks.
    @usableFromInline
    func ownTaskIsPrepared() -> Bool {
        guard handlerIdentity == .current else { return false }
        room.prepare(for: borrowed)
        return true
    }

    @usableFromInline
    nonisolated(nonsending) func waitForInput() async throws {
        try await wait {
            self.room.prepare(for: self.borrowed)
            await self.room.wait()
        }
    }

    // MARK: Writing

    /// Sends `bytes`, in order, without waiting: for the closure of `read`, which waits by itself.
    ///
    /// What can't be sent at once is copied; beyond the hard limit on unsent bytes the connection is aborted. After
    /// `close`, and when the connection has ended, the bytes are dropped.
    public func write(_ bytes: Span<UInt8>) { step { $0.write(bytes) } }

    /// Sends the bytes of an array without waiting; as `write(_:)` of a span.
    public func write(_ bytes: [UInt8]) { step { $0.write(bytes) } }

    /// Sends the text as UTF-8 without waiting; as `write(_:)` of a span.
    public func write(_ text: String) { step { $0.write(text) } }

    /// Sends the chunk without waiting, and without copying it if it has to wait; as `write(_:)` of a span.
    public func write(_ chunk: ByteChunk) { step { $0.write(chunk) } }

    /// Sends bytes of a file without waiting; as `StreamTransport` does.
    public func write(_ file: FileRegion) { step { $0.write(file) } }

    /// Writes as a part of the task's step, if the connection has not ended.
    @inline(__always)
    private func step(_ body: (Connection) -> Void) {
        guard reason == nil else { return }
        borrowed.use {
            $0.beginStep()
            body($0)
        }
    }

    /// Sends `bytes`, in order; waits while more is unsent than the high watermark, until it is down at the low one.
    ///
    /// - Throws: `ConnectionLost` when the bytes can't be sent any more, `CancellationError` in a cancelled task; some
    ///   of them may have been sent.
    public nonisolated(nonsending) func write(_ bytes: Span<UInt8>) async throws {
        let most = connection.reactor.configuration.writeHighWatermarkBytes
        var start = 0
        repeat {
            try checkWritable()
            let end = min(start + most, bytes.count)
            let piece = bytes.extracting(start..<end)
            step { $0.write(piece) }
            try await waitForRoom()
            await letOthersGoOn(after: end - start)
            start = end
        } while start < bytes.count
    }

    /// As `write(_:)` of a span, without copying what has to wait.
    public nonisolated(nonsending) func write(_ chunk: ByteChunk) async throws {
        try checkWritable()
        step { $0.write(chunk) }
        try await waitForRoom()
        await letOthersGoOn(after: chunk.count)
    }

    /// Sends the bytes of an array; as `write(_:)` of a span.
    public nonisolated(nonsending) func write(_ bytes: [UInt8]) async throws { try await write(bytes.span) }

    /// Sends the text as UTF-8; as `write(_:)` of a span.
    public nonisolated(nonsending) func write(_ text: String) async throws {
        var text = text
        text.makeContiguousUTF8()
        try await write(text.utf8.span)
    }

    /// Sends bytes of a file; waits while more is unsent than the high watermark, until it is down at the low one.
    ///
    /// - Throws: As for a span; `ConnectionLost` with a `FileError` in it when the file is found to have become
    ///   shorter. What is found out later, the next call throws.
    public nonisolated(nonsending) func write(_ file: FileRegion) async throws {
        try checkWritable()
        step { $0.write(file) }
        try await waitForRoom()
        if case .failed? = connection.ending?.reason { try checkWritable() }
        await letOthersGoOn(after: file.count)
    }

    /// Sends what was written, then tells the peer that no more comes; reading goes on.
    public func closeWriting() {
        guard reason == nil else { return }
        connection.loseWriteConnection()
    }

    /// Sends what was written, then closes: reading ends now. What the return of the handler does.
    public func close() {
        guard reason == nil else { return }
        connection.loseConnection()
        resumeWaiting()
    }

    /// Drops what is unsent and resets. What an error of the handler does.
    public func abort() {
        guard reason == nil else { return }
        connection.abortConnection()
    }

    /// Hands the live connection to another reactor, where `handler` goes on with it, in a task of its own.
    ///
    /// What is read or written here afterwards throws `ConnectionLost` with `.handedOff`; this handler should return.
    /// As `StreamTransport.handOff` otherwise.
    ///
    /// - Parameters:
    ///   - target: Another reactor of the same engine.
    ///   - unread: Bytes that this handler has read and not consumed: the new one reads them first.
    ///   - handler: Serves the connection from there on. What it has to know, it captures.
    /// - Returns: False when the connection can't be handed over: it is ending, or the engine stops.
    @discardableResult
    public func handOff(to target: ReactorHandle, unread: ByteChunk? = nil, _ handler: @escaping Handler) -> Bool {
        guard reason == nil else { return false }
        guard connection.handOff(to: target, unread: unread, { HandlerProtocol($0, handler) }) else { return false }
        ended(.handedOff)
        return true
    }

    private func checkWritable() throws {
        if Task.isCancelled { throw CancellationError() }
        if let reason { throw ConnectionLost(reason: reason) }
        guard connection.isWritable else {
            if let errno = connection.sendError { throw ConnectionLost(reason: .lost(errno)) }
            throw ConnectionLost(reason: connection.ending?.reason ?? .done)
        }
    }

    /// Lets everything else of the reactor have its turn; the task goes on in the next one.
    ///
    /// For long loops. `Task.yield` does it by way of Swift's pool and back.
    public nonisolated(nonsending) func yield() async {
        await Suspension.wait { suspension in
            guard let reactor = Reactor.current else { return suspension.resume() }
            // A timer that is due already: a reactor that ends resumes them all.
            _ = reactor.wheel.schedule(at: 0, .resume(suspension))
        }
    }

    /// A peer that reads as fast as this side writes would keep the reactor for itself.
    private nonisolated(nonsending) func letOthersGoOn(after count: Int) async {
        guard reason == nil, connection.hasHadItsShare(afterWriting: count) else { return }
        await yield()
    }

    private nonisolated(nonsending) func waitForRoom() async throws {
        while isOverfull {
            try await wait {
                await Suspension.wait {
                    precondition(self.writer == nil, "two tasks write to connection \(self.connectionNumber)")
                    self.writer = $0
                }
            }
            try checkWritable()
        }
    }

    /// True while more is unsent than the high watermark, and it has not come down to the low one.
    private var isOverfull: Bool {
        guard reason == nil, !connection.queue.isEmpty else { return false }
        guard connection.reactor.isRunningStep else {
            // A callback runs: it has the cork to itself, and no other may be entered.
            return connection.queue.unsentByteCount > connection.reactor.configuration.writeHighWatermarkBytes
        }
        // Whoever's cork it is: settling may call back.
        if connection.reactor.corked != .none { connection.reactor.sendWhatTaskWrote() }
        connection.reactor.settle(connection)
        return reason == nil && connection.state.flags.contains(.aboveWatermark)
    }

    // MARK: Waiting

    /// Waits by `rest` until something has happened, the connection's end or the cancellation of the task included.
    private nonisolated(nonsending) func wait(_ rest: nonisolated(nonsending) () async -> Void) async throws {
        if Task.isCancelled { throw CancellationError() }
        guard handlerIdentity != .current else { return await rest() }
        await waitCancellably(rest)
        if Task.isCancelled { throw CancellationError() }
    }

    /// Isolated explicitly: the closure of `withTaskCancellationHandler` would hop to Swift's pool otherwise.
    private func waitCancellably(
        _ rest: nonisolated(nonsending) () async -> Void,
        isolation: isolated (any Actor)? = #isolation
    ) async {
        let (handle, token) = (connection.reactor.handle, connection.token)
        await withTaskCancellationHandler {
            _ = isolation
            await rest()
        } onCancel: {
            handle.submitAlways { Reactor.current?.resumeWaiting(token) }
        }
    }

    func resumeWaiting() {
        if let reader = connection.reader.take() { connection.reactor.tasks.append(reader) }
        resumeWriter()
    }

    /// True while a task waits for bytes. For tests.
    package var isRead: Bool { connection.reader != nil }

    func resumeWriter() { if let writer = writer.take() { connection.reactor.resume(writer) } }

    // MARK: The handler's task

    func start(_ handle: @escaping Handler) {
        let reactor = connection.reactor
        reactor.handlers[connectionNumber] = self
        // Used by the reactor's thread alone: the task is isolated to it.
        nonisolated(unsafe) let stream = self
        handler = reactor.startTask { isolation in await StreamConnection.run(unsafe stream, handle, isolation) }
    }

    /// What serves a connection.
    public typealias Handler = nonisolated(nonsending) @Sendable (StreamConnection) async throws -> Void

    private static func run(_ stream: StreamConnection, _ handle: Handler, _ isolation: isolated ReactorHandle) async {
        stream.handlerIdentity = .current
        do {
            try await handle(stream)
            stream.close()
        } catch {
            stream.failed(error)
        }
        stream.hasEnded()
    }

    private func failed(_ error: any Error) {
        // The connection is over, and everybody knows it; or the engine stops.
        guard reason == nil, connection.state.isLive else { return }
        if let errno = connection.sendError { return connection.reactor.end(connection, brokenBy: errno) }
        if error is CancellationError { return abort() }
        let reactor = connection.reactor
        reactor.counters.add(.failedCallbacks)
        reactor.write(.error, "a handler threw \(error)", about: connection)
        reactor.end(connection, .failed(error), reset: true)
    }

    /// The last thing that the handler's task does. After the reactor has stopped nobody asks any more.
    private func hasEnded() {
        if Reactor.current === connection.reactor { connection.reactor.handlers[connectionNumber] = nil }
    }

    func cancel() { handler?.cancel() }

    func ended(_ reason: DisconnectReason) {
        self.reason = reason
        whenDraining = nil
        resumeWaiting()
        if case .engineStopped = reason { cancel() }
    }
}
