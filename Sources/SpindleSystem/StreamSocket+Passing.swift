// SPDX-License-Identifier: Apache-2.0

internal import CLinux
internal import Glibc
package import SpindleCore

/// Descriptors that travel along with bytes over a Unix socket. unix(7), SCM_RIGHTS.
extension StreamSocket {
    /// The kernel's SCM_MAX_FD.
    package static var mostPassed: Int { Int(CL_MOST_PASSED) }

    /// As `send` of pieces; the descriptors travel with the first byte.
    ///
    /// - Parameter descriptors: 1 to `mostPassed`, open.
    package func send(
        _ pieces: UnsafeMutableBufferPointer<SendPiece>,
        passing descriptors: [CInt]
    ) -> Transfer {
        let vector = unsafe UnsafeMutableRawPointer(pieces.baseAddress)?.assumingMemoryBound(to: cl_piece.self)
        while true {
            let result = unsafe cl_send_passing(
                descriptor,
                vector,
                pieces.count,
                descriptors,
                CInt(clamping: descriptors.count)
            )
            if result >= 0 { return .bytes(result) }
            if let transfer = StreamSocket.refused(result) { return transfer }
        }
    }

    /// As `receive`; what the peer has passed along is added to `passed`.
    ///
    /// A receive stops behind the bytes that descriptors came with: it says nothing about whether more waits.
    package func receive(into buffer: UnsafeMutableRawBufferPointer, _ passed: inout PassedDescriptors) -> Transfer {
        while true {
            let result = unsafe withUnsafeTemporaryAllocation(of: CInt.self, capacity: max(passed.room, 1)) { numbers in
                var (count, lost): (CInt, CInt) = (0, 0)
                let result = unsafe cl_receive_passed(
                    descriptor,
                    buffer.baseAddress,
                    buffer.count,
                    numbers.baseAddress,
                    CInt(clamping: passed.room),
                    &count,
                    &lost
                )
                if result < 0 { return result }
                for index in 0..<Int(count) {
                    passed.descriptors.append(PassedDescriptor(owning: unsafe numbers[index], close: Descriptor.close))
                }
                passed.areIncomplete = lost != 0
                return result
            }
            if result > 0 { return .bytes(result) }
            if result == 0 { return .end }
            if result == -Int(EAGAIN) { return .wouldBlock }
            if result != -Int(EINTR) { return .failed(Errno(rawValue: Int32(-result))) }
        }
    }
}

extension PassedDescriptor {
    /// Another number for an open file, to be passed. F_DUPFD_CLOEXEC.
    package static func duplicate(of descriptor: CInt) throws(PassingError) -> PassedDescriptor {
        do throws(Errno) {
            return PassedDescriptor(owning: try checked(cl_duplicate(descriptor)), close: Descriptor.close)
        } catch { throw .refused(descriptor: descriptor, error) }
    }
}
