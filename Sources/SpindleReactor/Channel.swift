// SPDX-License-Identifier: Apache-2.0

internal import SpindleSystem

/// Carries values of one type between the reactors of an engine, to a handler that runs on the receiving one.
///
/// Made by `Engine.makeChannel`. Messages of one reactor to another arrive in the order in which they were sent,
/// over all channels, each once, or are reported undelivered when the receiver has stopped. Sending never blocks:
/// a full mailbox is an answer. A value of at most 48 bytes lies in the mailbox itself; a larger one is moved into
/// a box. A message is seen at the end of the sender's turn, or after 16 messages to the same reactor; in the urgent
/// lane at once.
///
/// It is a name, three numbers: copies on other cores share nothing that anybody counts, and none of them keeps the
/// engine alive. When that is gone, sending answers `.stopped`.
public struct Channel<Message: Sendable>: Sendable, BitwiseCopyable {
    @usableFromInline let mailroom: MailroomKey
    @usableFromInline let id: UInt32
    /// 1 for the urgent lane: a number, since each message's way is computed from it.
    @usableFromInline let laneNumber: UInt32

    /// A channel of the reactors that share `mailroom`; programs call `Engine.makeChannel`.
    ///
    /// - Parameters:
    ///   - mailroom: The engine's, which keeps the closures.
    ///   - lane: The way that the messages take.
    ///   - undelivered: Told of messages that a reactor did not handle before it stopped, on the reactor's own thread
    ///     as it ends, or on the one that finishes the engine; of those that travelled as jobs, on the last that held
    ///     them.
    ///   - handler: Runs on the receiving reactor; `sender` is the index of the sending reactor, or -1 for a
    ///     thread that is none. An error that it throws is logged.
    @inlinable
    public init(
        _ mailroom: Mailroom,
        lane: MailLane = .ordinary,
        undelivered: (@Sendable (_ message: Message, _ receiver: Int) -> Void)? = nil,
        handler: @escaping @Sendable (_ message: Message, _ sender: Int) throws -> Void
    ) {
        // Inlined where the type is known: moving a message out of a slot is then a few loads.
        let handlers = ChannelHandlers(handler, undelivered)
        let id = mailroom.addChannel {
            unsafe MailReceiver(
                handlers: handlers,
                receive: { run in while let message = run.take(Message.self) { try handler(message, run.sender) } },
                discard: { payload, receiver in
                    let message: Message = unsafe Envelope.take(payload)
                    undelivered?(message, receiver)
                }
            )
        }
        self.init(mailroom.key, id, lane)
    }

    @usableFromInline
    init(_ mailroom: MailroomKey, _ id: UInt32, _ lane: MailLane) {
        self.mailroom = mailroom
        self.id = id
        laneNumber = lane == .urgent ? 1 : 0
    }

    @usableFromInline var lane: MailLane { laneNumber == 1 ? .urgent : .ordinary }

    /// Sends `message` to the reactor with the index `receiver`. From any thread; cheapest from a reactor.
    ///
    /// To the own reactor, and from a thread that is no reactor of this engine, it travels as a submitted job.
    ///
    /// - Parameters:
    ///   - message: The value; gone from here once it was taken.
    ///   - receiver: 0..<the engine's reactor count.
    /// - Returns: `.full` or `.stopped` when the message was not taken.
    @inlinable
    @discardableResult
    public func send(_ message: Message, to receiver: Int) -> SubmitResult {
        guard let ring = mailroom.ring(to: receiver, lane: laneNumber), let payload = unsafe ring.reserve(channel: id)
        else {
            return sendSlowly(message, to: receiver)
        }
        unsafe Envelope.put(message, into: payload)
        if ring.commit() { mailroom.batchChanged(receiver, lane) }
        return .sent
    }

    /// The first message to `receiver`, or there is no room. In the program: there the message travels in registers.
    @inlinable
    @inline(never)
    func sendSlowly(_ message: Message, to receiver: Int) -> SubmitResult {
        if mailroom.open(receiver, lane) { return send(message, to: receiver) }
        return mailroom.refusal(to: receiver, lane) ?? submit(message, to: receiver)
    }

    /// Sends `message` to the reactor with the index `receiver`; when there is no room, waits until there is. From
    /// anywhere.
    ///
    /// Room is looked for about every 65 us (a tick of the timers), so who waits costs nobody anything else. Messages
    /// of one task arrive in its order; those that wait at once are sent in any.
    ///
    /// - Parameters:
    ///   - message: The value; gone from here once it was taken.
    ///   - receiver: 0..<the engine's reactor count.
    /// - Throws: `ChannelStopped` when the receiver has stopped, `CancellationError` in a cancelled task: the message
    ///   was not taken then.
    public nonisolated(nonsending) func sendWhenRoom(_ message: Message, to receiver: Int) async throws {
        while true {
            switch send(message, to: receiver) {
            case .sent: return
            case .stopped: throw ChannelStopped(receiver: receiver)
            case .full: try await RoomWait.once()
            }
        }
    }

    /// Sends `message` to every reactor of the engine, this one included.
    ///
    /// - Returns: What became of it, by reactor; nothing when the engine is gone.
    @discardableResult
    public func broadcast(_ message: Message) -> [SubmitResult] {
        mailroom.mailroom.map { $0.handles.indices.map { send(message, to: $0) } } ?? []
    }

    /// No mailbox leads from here to there: to the own reactor, or from a thread that is none.
    @usableFromInline
    func submit(_ message: Message, to receiver: Int) -> SubmitResult {
        if let (own, handle) = mailroom.own(id) {
            return submit(message, to: handle, own.handlers(of: Message.self), receiver)
        }
        guard let mailroom = mailroom.mailroom else { return .stopped }
        let handlers = mailroom.makeReceiver(id).handlers(of: Message.self)
        return submit(message, to: mailroom.handles[receiver], handlers, -1)
    }

    private func submit(
        _ message: Message,
        to handle: ReactorHandle,
        _ handlers: ChannelHandlers<Message>,
        _ sender: Int
    ) -> SubmitResult {
        let handler = handlers.handler
        guard let undelivered = handlers.undelivered else { return handle.submit { try handler(message, sender) } }
        let travelling = TravellingMessage(message) { undelivered($0, handle.index) }
        let result = handle.submit { if let message = travelling.take() { try handler(message, sender) } }
        // Not taken: the caller knows, so nobody else is told.
        if result != .sent { _ = travelling.take() }
        return result
    }
}

/// A message was not sent: its receiver has stopped, or the whole engine.
public struct ChannelStopped: Error, Equatable, CustomStringConvertible {
    /// The index of the reactor.
    public let receiver: Int

    /// The reactor with this index has stopped.
    public init(receiver: Int) { self.receiver = receiver }

    /// One line for a log.
    public var description: String { "reactor \(receiver) has stopped: the message was not sent" }
}

/// A short while, for those who wait for room in a mailbox.
private enum RoomWait {
    static nonisolated(nonsending) func once() async throws {
        try Task.checkCancellation()
        if Reactor.current == nil {
            // tidy: allow banned: on a thread of Swift's pool there is no reactor's timer
            return try await Task.sleep(for: .microseconds(65))
        }
        await Suspension.wait { suspension in
            guard let reactor = Reactor.current else { return suspension.resume() }
            // The next tick.
            _ = reactor.wheel.schedule(at: reactor.tick(after: .microseconds(1)), .resume(suspension))
        }
        try Task.checkCancellation()
    }
}

/// What a channel's messages are given to, for those that travel as jobs.
@usableFromInline
final class ChannelHandlers<Message: Sendable>: Sendable {
    let handler: @Sendable (Message, Int) throws -> Void
    let undelivered: (@Sendable (Message, Int) -> Void)?

    @usableFromInline
    init(
        _ handler: @escaping @Sendable (Message, Int) throws -> Void,
        _ undelivered: (@Sendable (Message, Int) -> Void)?
    ) {
        self.handler = handler
        self.undelivered = undelivered
    }
}

/// A message that travels as a job: it reports itself undelivered when it goes without having been taken.
private final class TravellingMessage<Message: Sendable>: Sendable {
    private let message: Guarded<Message?>
    private let undelivered: @Sendable (Message) -> Void

    init(_ message: Message, undelivered: @escaping @Sendable (Message) -> Void) {
        self.message = Guarded(message)
        self.undelivered = undelivered
    }

    deinit { if let message = take() { undelivered(message) } }

    func take() -> Message? { message.withLock { $0.take() } }
}
