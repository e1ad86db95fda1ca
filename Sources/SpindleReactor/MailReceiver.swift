// SPDX-License-Identifier: Apache-2.0

/// Takes the messages of one channel out of mailboxes, on one reactor; each reactor has its own, so that no two
/// cores count references to the same closure.
@usableFromInline
@safe final class MailReceiver {
    /// Moves the message out of the payload and handles it.
    let receive: (_ payload: UnsafeMutableRawPointer, _ sender: Int) throws -> Void
    /// Moves the message out of the payload and reports that it was not delivered.
    let discard: (_ payload: UnsafeMutableRawPointer, _ receiver: Int) -> Void

    @usableFromInline
    init(
        receive: @escaping (_ payload: UnsafeMutableRawPointer, _ sender: Int) throws -> Void,
        discard: @escaping (_ payload: UnsafeMutableRawPointer, _ receiver: Int) -> Void
    ) {
        unsafe self.receive = unsafe receive
        unsafe self.discard = unsafe discard
    }
}
