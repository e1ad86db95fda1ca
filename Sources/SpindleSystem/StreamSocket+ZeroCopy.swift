// SPDX-License-Identifier: Apache-2.0

internal import CLinux
internal import Glibc
internal import SpindleCore

/// Sending from where the bytes lie. Documentation/networking/msg_zerocopy.rst of the kernel.
extension StreamSocket {
    /// send(2) with MSG_ZEROCOPY: the bytes have to stay as they are until the send is completed. The socket's sends of
    /// this kind that took any bytes are counted from 0.
    ///
    /// - Returns: Nil when the socket can't, or the memory for it is used up: nothing was taken then.
    package func sendInPlace(_ bytes: UnsafeRawBufferPointer) -> Transfer? {
        while true {
            let result = unsafe cl_send_zero_copy(descriptor, bytes.baseAddress, bytes.count)
            if result >= 0 { return .bytes(result) }
            if result == -Int(ENOBUFS) || result == -Int(EOPNOTSUPP) { return nil }
            if let transfer = StreamSocket.refused(result) { return transfer }
        }
    }

    /// SO_ZEROCOPY: without it MSG_ZEROCOPY copies, and completes nothing.
    ///
    /// - Returns: False for sockets that can't: those of Unix.
    package func enableSendsInPlace() -> Bool { cl_enable_zero_copy(descriptor) == 0 }

    /// Tells of the sends that are completed: the first and the last of some that follow each other.
    package func takeCompletions(_ tell: (_ sends: (first: UInt32, last: UInt32), _ wereCopied: Bool) -> Void) {
        var completion = cl_completion()
        while unsafe cl_take_completion(descriptor, &completion) == 0 {
            if completion.is_ours != 0 { tell((completion.first, completion.last), completion.was_copied != 0) }
        }
    }
}
