// SPDX-License-Identifier: Apache-2.0

/// A receiver that its intake keeps, not counted as a reference: that would have each look at a mailbox wait for
/// all that its messages' handlers have stored.
@safe struct BorrowedReceiver {
    private let reference: Unmanaged<MailReceiver>

    @inline(__always)
    init(_ receiver: MailReceiver) { unsafe reference = Unmanaged.passUnretained(receiver) }

    func handlers<Message>(of type: Message.Type) -> ChannelHandlers<Message> {
        unsafe reference._withUnsafeGuaranteedRef { $0.handlers(of: type) }
    }

    @inline(__always)
    func receive(_ run: inout MailRun) throws {
        try unsafe reference._withUnsafeGuaranteedRef { try $0.receive(&run) }
    }
}
