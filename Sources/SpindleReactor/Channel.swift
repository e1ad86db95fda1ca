// SPDX-License-Identifier: Apache-2.0

internal import SpindleSystem

/// Carries values of one type between the reactors of an engine, to a handler that runs on the receiving one.
///
/// Messages of one reactor to another arrive in the order in which they were sent, over all channels, each
/// once, or are reported undelivered when the receiver has stopped. Sending never blocks: a full mailbox is an
/// answer. A value of at most 48 bytes lies in the mailbox itself; a larger one is moved into a box.
/// A message is seen at the end of the sender's turn, or after 16 messages to the same reactor.
public struct Channel<Message: Sendable>: Sendable {
    private let mailroom: Mailroom
    private let id: UInt32
    private let handler: @Sendable (Message, Int) throws -> Void
    private let undelivered: (@Sendable (Message, Int) -> Void)?

    /// - Parameters:
    ///   - mailroom: The engine's.
    ///   - undelivered: Told of messages that a reactor did not handle before it stopped, on the thread that
    ///     finishes the engine; of those that travelled as jobs, on the reactor's own or the last that held them.
    ///   - handler: Runs on the receiving reactor; `sender` is the index of the sending reactor, or -1 for a
    ///     thread that is none. An error that it throws is logged.
    package init(
        _ mailroom: Mailroom,
        undelivered: (@Sendable (_ message: Message, _ receiver: Int) -> Void)? = nil,
        handler: @escaping @Sendable (_ message: Message, _ sender: Int) throws -> Void
    ) {
        self.mailroom = mailroom
        self.handler = handler
        self.undelivered = undelivered
        id = mailroom.addChannel { ChannelReceiver(handler: handler, undelivered: undelivered) }
    }

    /// Sends `message` to the reactor with the index `receiver`. From any thread; cheapest from a reactor.
    ///
    /// To the own reactor, and from a thread that is no reactor of this engine, it travels as a submitted job.
    ///
    /// - Parameters:
    ///   - message: The value; gone from here once it was taken.
    ///   - receiver: 0..<the engine's reactor count.
    /// - Returns: `.full` or `.stopped` when the message was not taken.
    @discardableResult
    public func send(_ message: Message, to receiver: Int) -> SubmitResult {
        if let pointer = unsafe SystemThread.local {
            // The mark is set by the reactor itself and taken back before it goes.
            let result = unsafe Unmanaged<Reactor>.fromOpaque(pointer)._withUnsafeGuaranteedRef {
                put(message, from: $0, to: receiver)
            }
            if let result { return result }
        }
        return submit(message, to: receiver)
    }

    private func submit(_ message: Message, to receiver: Int) -> SubmitResult {
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

    /// Sends `message` to every reactor of the engine, this one included.
    ///
    /// - Returns: What became of it, by reactor.
    @discardableResult
    public func broadcast(_ message: Message) -> [SubmitResult] {
        mailroom.handles.indices.map { send(message, to: $0) }
    }

    /// Nil when the two are not different reactors of this engine.
    @inline(__always)
    private func put(_ message: Message, from reactor: Reactor, to receiver: Int) -> SubmitResult? {
        guard reactor.mailroom === mailroom, reactor.index != receiver else { return nil }
        guard let payload = unsafe reactor.outbox.reserve(to: receiver, channel: id, in: reactor) else {
            reactor.counters.add(.mailFull)
            reactor.outbox.publishRest(to: receiver, of: reactor)
            return mailroom.handles[receiver].isStopped ? .stopped : .full
        }
        unsafe ChannelReceiver<Message>.put(message, into: payload)
        reactor.outbox.commit(to: receiver, of: reactor)
        return .sent
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

/// Takes the messages of one channel out of mailboxes, on one reactor.
final class ChannelReceiver<Message: Sendable>: MailReceiver {
    private final class Box {
        let message: Message
        init(_ message: Message) { self.message = message }
    }

    private let handler: (Message, Int) throws -> Void
    private let undelivered: ((Message, Int) -> Void)?

    init(
        handler: @escaping @Sendable (Message, Int) throws -> Void,
        undelivered: (@Sendable (Message, Int) -> Void)?
    ) {
        self.handler = handler
        self.undelivered = undelivered
    }

    /// Moving a Swift value is copying its bytes, so any value that fits may lie in a slot, references included.
    @inline(__always)
    private static var fits: Bool {
        MemoryLayout<Message>.size <= MailRing.payloadBytes && MemoryLayout<Message>.alignment <= 16
    }

    @inline(__always)
    @unsafe static func put(_ message: Message, into payload: UnsafeMutableRawPointer) {
        if fits {
            unsafe payload.initializeMemory(as: Message.self, to: message)
        } else {
            let box = unsafe Unmanaged.passRetained(Box(message)).toOpaque()
            unsafe payload.initializeMemory(as: UnsafeMutableRawPointer.self, to: box)
        }
    }

    @inline(__always)
    @unsafe private static func take(_ payload: UnsafeMutableRawPointer) -> Message {
        if fits { return unsafe payload.assumingMemoryBound(to: Message.self).move() }
        let box = unsafe payload.load(as: UnsafeMutableRawPointer.self)
        return unsafe Unmanaged<Box>.fromOpaque(box).takeRetainedValue().message
    }

    @unsafe override func receive(_ payload: UnsafeMutableRawPointer, from sender: Int) throws {
        try handler(unsafe ChannelReceiver.take(payload), sender)
    }

    @unsafe override func discard(_ payload: UnsafeMutableRawPointer, receiver: Int) {
        let message = unsafe ChannelReceiver.take(payload)
        undelivered?(message, receiver)
    }
}
