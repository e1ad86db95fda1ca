// SPDX-License-Identifier: Apache-2.0

/// Takes the messages of one channel out of mailboxes, on one reactor; each reactor has its own, so that no two
/// cores count references to the same closure.
@usableFromInline
@safe final class MailReceiver {
    /// Takes the messages of the run and handles them; an error is that of the last one taken.
    let receive: (_ run: inout MailRun) throws -> Void
    /// Moves the message out of the payload and reports that it was not delivered.
    let discard: (_ payload: UnsafeMutableRawPointer, _ receiver: Int) -> Void
    /// For messages that travel as jobs.
    let handlers: AnyObject

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
}

/// A receiver that its intake keeps, not counted as a reference: that would have each look at a mailbox wait for
/// all that its messages' handlers have stored.
@safe struct BorrowedReceiver {
    private let reference: Unmanaged<MailReceiver>

    @inline(__always)
    init(_ receiver: MailReceiver) { unsafe reference = Unmanaged.passUnretained(receiver) }

    var handlers: AnyObject { unsafe reference._withUnsafeGuaranteedRef { $0.handlers } }

    @inline(__always)
    func receive(_ run: inout MailRun) throws {
        try unsafe reference._withUnsafeGuaranteedRef { try $0.receive(&run) }
    }
}
