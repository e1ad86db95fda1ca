// SPDX-License-Identifier: Apache-2.0

internal import SpindleSystem

/// Carries values of one type between the reactors of an engine, to a handler that runs on the receiving one.
///
/// Made by `Engine.makeChannel`. Messages of one reactor to another arrive in the order in which they were sent,
/// over all channels, each once, or are reported undelivered when the receiver has stopped. Sending never blocks:
/// a full mailbox is an answer. A value of at most 48 bytes lies in the mailbox itself; a larger one is moved into
/// a box. A message is seen at the end of the sender's turn, or after 16 messages to the same reactor.
public struct Channel<Message: Sendable>: Sendable {
    @usableFromInline let mailroom: Mailroom
    @usableFromInline let id: UInt32
    private let handler: @Sendable (Message, Int) throws -> Void
    private let undelivered: (@Sendable (Message, Int) -> Void)?

    /// A channel of the reactors that share `mailroom`; programs call `Engine.makeChannel`.
    ///
    /// - Parameters:
    ///   - mailroom: The engine's.
    ///   - undelivered: Told of messages that a reactor did not handle before it stopped, on the thread that
    ///     finishes the engine; of those that travelled as jobs, on the reactor's own or the last that held them.
    ///   - handler: Runs on the receiving reactor; `sender` is the index of the sending reactor, or -1 for a
    ///     thread that is none. An error that it throws is logged.
    @inlinable
    public init(
        _ mailroom: Mailroom,
        undelivered: (@Sendable (_ message: Message, _ receiver: Int) -> Void)? = nil,
        handler: @escaping @Sendable (_ message: Message, _ sender: Int) throws -> Void
    ) {
        // Inlined where the type is known: moving a message out of a slot is then a few loads.
        let id = mailroom.addChannel {
            unsafe MailReceiver(
                receive: { payload, sender in try handler(unsafe Envelope.take(payload), sender) },
                discard: { payload, receiver in
                    let message: Message = unsafe Envelope.take(payload)
                    undelivered?(message, receiver)
                }
            )
        }
        self.init(mailroom, id, handler, undelivered)
    }

    @usableFromInline
    init(
        _ mailroom: Mailroom,
        _ id: UInt32,
        _ handler: @escaping @Sendable (Message, Int) throws -> Void,
        _ undelivered: (@Sendable (Message, Int) -> Void)?
    ) {
        self.mailroom = mailroom
        self.id = id
        self.handler = handler
        self.undelivered = undelivered
    }

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
        guard let outlet = unsafe mailroom.outlet(to: receiver),
            let payload = unsafe outlet.pointee.ring.reserve(channel: id)
        else { return refuseOrSubmit(message, to: receiver) }
        unsafe Envelope.put(message, into: payload)
        if unsafe outlet.pointee.commit() { mailroom.batchChanged(receiver) }
        return .sent
    }

    /// Sends `message` to every reactor of the engine, this one included.
    ///
    /// - Returns: What became of it, by reactor.
    @discardableResult
    public func broadcast(_ message: Message) -> [SubmitResult] {
        mailroom.handles.indices.map { send(message, to: $0) }
    }

    /// There was no room in a mailbox: because it is full, or because none leads from here to there.
    @usableFromInline
    func refuseOrSubmit(_ message: Message, to receiver: Int) -> SubmitResult {
        if let refusal = mailroom.refusal(to: receiver) { return refusal }
        let handler = handler
        let sender = Reactor.current.map { $0.mailroom === mailroom ? $0.index : -1 } ?? -1
        let handle = mailroom.handles[receiver]
        guard let undelivered else { return handle.submit { try handler(message, sender) } }
        let travelling = TravellingMessage(message) { undelivered($0, receiver) }
        let result = handle.submit { if let message = travelling.take() { try handler(message, sender) } }
        // Not taken: the caller knows, so nobody else is told.
        if result != .sent { _ = travelling.take() }
        return result
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
