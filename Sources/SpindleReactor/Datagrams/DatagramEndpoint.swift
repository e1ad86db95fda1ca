// SPDX-License-Identifier: Apache-2.0

public import SpindleCore

/// A UDP socket as an `async` handler sees it: datagrams are asked for.
///
/// It belongs to the task that `Engine.serveUDP` started for it, one on every reactor, and lives on that task's
/// reactor: it is not Sendable, and no call hops to another thread. One task may receive, and others of the same
/// reactor send.
///
///     try engine.serveUDP(on: .any(port: 7000)) { endpoint in
///         while let datagram = try await endpoint.receive() { datagram.reply(datagram.bytes) }
///     }
///
/// What nobody asks for stays in the kernel, but for a batch that is at hand; what the kernel has no room for is lost
/// and counted. When the handler returns, or throws, the socket is closed.
public final class DatagramEndpoint {
    /// What serves a socket.
    public typealias Handler = nonisolated(nonsending) @Sendable (DatagramEndpoint) async throws -> Void

    /// The socket: its addresses, its options, groups to join.
    public let transport: any DatagramTransport
    private let reactor: Reactor
    private var arrived = JobQueue<ReceivedDatagram>()
    private var receiver: Suspension?
    private var hasEnded = false
    private var handler: Task<Void, Never>?
    private let number: UInt64

    init(_ transport: any DatagramTransport, on reactor: Reactor) {
        self.transport = transport
        self.reactor = reactor
        number = reactor.nextConnectionNumber()
    }

    /// Datagrams that are at hand while nobody asks; then reading pauses.
    private var limit: Int { reactor.configuration.datagramsPerReceive }

    /// Waits for a datagram.
    ///
    /// - Returns: Nil when no more come: the socket was closed, or the engine stops.
    /// - Throws: `CancellationError` in a cancelled task.
    public nonisolated(nonsending) func receive() async throws -> ReceivedDatagram? {
        while true {
            if Task.isCancelled { throw CancellationError() }
            if let datagram = arrived.popFirst() {
                if arrived.isEmpty, !hasEnded { transport.resumeReading() }
                return datagram
            }
            if hasEnded { return nil }
            await waitCancellably()
        }
    }

    /// Isolated explicitly: the closure of `withTaskCancellationHandler` would hop to Swift's pool otherwise.
    private func waitCancellably(isolation: isolated (any Actor)? = #isolation) async {
        let (handle, number) = (reactor.handle, number)
        await withTaskCancellationHandler {
            _ = isolation
            await Suspension.wait {
                precondition(receiver == nil, "two tasks receive from \(transport.localAddress)")
                receiver = $0
            }
        } onCancel: {
            handle.submitAlways { Reactor.current?.endpoint(number)?.resumeReceiver() }
        }
    }

    /// Sends a datagram; as `DatagramTransport` does.
    @discardableResult
    public func send(_ bytes: Span<UInt8>, to peer: SocketAddress? = nil) -> DatagramOutcome {
        send(bytes, to: peer, DatagramSendOptions())
    }

    /// Not by way of a reactor that has stopped: the task may go on elsewhere.
    func send(_ bytes: Span<UInt8>, to peer: SocketAddress?, _ options: DatagramSendOptions) -> DatagramOutcome {
        hasEnded ? .dropped(.closed) : transport.send(bytes, to: peer, options: options)
    }

    /// Sends the bytes of an array as a datagram.
    @discardableResult
    public func send(_ bytes: [UInt8], to peer: SocketAddress? = nil) -> DatagramOutcome { send(bytes.span, to: peer) }

    /// Sends the text as UTF-8 as a datagram.
    @discardableResult
    public func send(_ text: String, to peer: SocketAddress? = nil) -> DatagramOutcome {
        send(Array(text.utf8), to: peer)
    }

    /// Sends what waits, and closes: `receive` returns what has come, then nil.
    public func close() { if !hasEnded { transport.close() } }

    // MARK: From the protocol

    func came(_ bytes: Span<UInt8>, from origin: DatagramOrigin, replyRoom: Int) {
        arrived.append(
            ReceivedDatagram(
                ByteChunk(copying: bytes, from: reactor.pool),
                origin,
                at: self,
                replyRoom: replyRoom
            )
        )
        if arrived.count >= limit { transport.pauseReading() }
        resumeReceiver()
    }

    func refuse(_ drop: DatagramDrop) -> DatagramOutcome {
        guard !hasEnded else { return .dropped(.closed) }
        reactor.counters.add(.datagramsRefused)
        return .dropped(drop)
    }

    func ended() {
        hasEnded = true
        resumeReceiver()
    }

    func resumeReceiver() { if let receiver = receiver.take() { reactor.resume(receiver) } }

    // MARK: The handler's task

    func start(_ handle: @escaping Handler) {
        reactor.endpoints.append(self)
        // Used by the reactor's thread alone: the task is isolated to it.
        nonisolated(unsafe) let endpoint = self
        handler = reactor.startTask { isolation in await DatagramEndpoint.run(unsafe endpoint, handle, isolation) }
    }

    private static func run(_ endpoint: DatagramEndpoint, _ handle: Handler, _ isolation: isolated ReactorHandle) async
    {
        do { try await handle(endpoint) } catch { endpoint.failed(error) }
        endpoint.finish()
    }

    private func failed(_ error: any Error) {
        guard transport.isOpen, !(error is CancellationError) else { return }
        reactor.counters.add(.failedCallbacks)
        let message = "a handler of the datagrams on \(transport.localAddress) threw \(error); the socket is closed"
        reactor.log.write(LogRecord(level: .error, message: message, reactor: reactor.index))
    }

    /// The last thing that the handler's task does. After the reactor has stopped nobody asks any more.
    private func finish() {
        guard Reactor.current === reactor else { return }
        transport.close()
        handler = nil
        reactor.endpoints.removeAll { $0 === self }
    }

    /// True while a task waits for a datagram. For tests.
    package var isAwaited: Bool { receiver != nil }

    func cancel() { handler?.cancel() }
    func isNumber(_ number: UInt64) -> Bool { number == self.number }
}

/// A datagram that a task has received.
public final class ReceivedDatagram {
    /// Its bytes, as many as a datagram may have: a copy, which may be kept.
    public let bytes: ByteChunk
    /// Who sent it, and which way it came.
    public let origin: DatagramOrigin
    private let endpoint: DatagramEndpoint
    private var replyRoom: Int

    init(_ bytes: ByteChunk, _ origin: DatagramOrigin, at endpoint: DatagramEndpoint, replyRoom: Int) {
        self.bytes = bytes
        self.origin = origin
        self.endpoint = endpoint
        self.replyRoom = replyRoom
    }

    /// Who sent it, by what it says.
    public var peer: SocketAddress { origin.peer }

    /// Answers it, now or later, from the address that was asked, within the socket's reply limit: as
    /// `DatagramTransport.reply` otherwise.
    @discardableResult
    public func reply(_ bytes: Span<UInt8>) -> DatagramOutcome {
        guard bytes.count <= replyRoom else { return endpoint.refuse(.overReplyLimit) }
        let options = DatagramSendOptions(source: origin.path.isToMany ? nil : origin.destination)
        let outcome = endpoint.send(bytes, to: origin.peer, options)
        if outcome == .queued { replyRoom -= bytes.count }
        return outcome
    }

    /// Answers with the bytes of an array.
    @discardableResult
    public func reply(_ bytes: [UInt8]) -> DatagramOutcome { reply(bytes.span) }
    /// Answers with the text as UTF-8.
    @discardableResult
    public func reply(_ text: String) -> DatagramOutcome { reply(Array(text.utf8)) }
    /// Answers with the bytes of a chunk.
    @discardableResult
    public func reply(_ chunk: ByteChunk) -> DatagramOutcome { reply(chunk.bytes) }
}

/// Stands for a task among the protocols of datagrams.
package final class DatagramHandler: DatagramProtocol {
    private let endpoint: DatagramEndpoint
    private let handle: DatagramEndpoint.Handler
    private let options: DatagramOptions

    /// Traps when the transport is not a reactor's.
    package init(
        _ transport: any DatagramTransport,
        options: DatagramOptions,
        _ handle: @escaping DatagramEndpoint.Handler
    ) {
        guard let port = transport as? DatagramPort else {
            preconditionFailure("a handler serves sockets of reactors, not \(type(of: transport))")
        }
        endpoint = DatagramEndpoint(port, on: port.reactor)
        self.handle = handle
        self.options = options
    }

    package var transport: any DatagramTransport { endpoint.transport }
    package func startProtocol() { endpoint.start(handle) }
    package func datagramReceived(_ bytes: Span<UInt8>, from origin: DatagramOrigin) {
        endpoint.came(bytes, from: origin, replyRoom: options.replyRoom(for: bytes.count))
    }
    package func stopProtocol() { endpoint.ended() }
}

extension Reactor {
    /// The endpoint whose task waits under a number.
    func endpoint(_ number: UInt64) -> DatagramEndpoint? { endpoints.first { $0.isNumber(number) } }
}
