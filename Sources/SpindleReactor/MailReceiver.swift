// SPDX-License-Identifier: Apache-2.0

/// Takes the messages of one channel out of mailboxes, on one reactor; each reactor has its own, so that no two
/// cores count references to the same closure.
@usableFromInline
@safe final class MailReceiver {
    /// Takes the messages of the run and handles them; an error is that of the last one taken.
    let receive: (_ run: inout MailRun) throws -> Void
    /// Moves the message out of the payload and reports that it was not delivered.
    let discard: (_ payload: UnsafeMutableRawPointer, _ receiver: Int) -> Void
    private let handlers: AnyObject

    @usableFromInline
    init(
        handlers: AnyObject,
        receive: @escaping (_ run: inout MailRun) throws -> Void,
        discard: @escaping (_ payload: UnsafeMutableRawPointer, _ receiver: Int) -> Void
    ) {
        self.handlers = handlers
        self.receive = receive
        unsafe self.discard = unsafe discard
    }

    /// For messages that travel as jobs. The channel's messages are of that type: whoever has its number got it for
    /// handlers of the same.
    func handlers<Message>(of _: Message.Type) -> ChannelHandlers<Message> {
        unsafe unsafeDowncast(handlers, to: ChannelHandlers<Message>.self)
    }
}
