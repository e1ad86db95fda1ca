// SPDX-License-Identifier: Apache-2.0

public import SpindleCore

/// What sending of a file did.
public enum FileSendOutcome: Equatable {
    /// As of bytes; so many were offered to the socket, which may be fewer than asked for.
    case sent(SendOutcome, offered: Int)
    /// The file has become shorter, or can't be read.
    case unreadable(FileError)
}

extension Driver {
    /// By a copy, 64 KiB at most at a time: for drivers without a kernel.
    public func send(
        _ region: FileRegion,
        count: Int,
        passing descriptors: [PassedDescriptor],
        to connection: SocketHandle
    ) -> FileSendOutcome {
        sendCopy(of: region, count: count, passing: descriptors, to: connection)
    }

    func sendCopy(
        of region: FileRegion,
        count: Int,
        passing descriptors: [PassedDescriptor],
        to connection: SocketHandle
    ) -> FileSendOutcome {
        let bytes: [UInt8]
        do throws(FileError) { bytes = try region.read(atMost: min(count, 64 << 10)) } catch {
            return .unreadable(error)
        }
        let outcome = unsafe bytes.withUnsafeBytes { bytes in
            guard !descriptors.isEmpty, let start = bytes.baseAddress else { return unsafe send(bytes, to: connection) }
            var pieces = SendPieces()
            unsafe pieces.append(start, byteCount: bytes.count)
            return send(pieces, passing: descriptors, to: connection)
        }
        return .sent(outcome, offered: bytes.count)
    }
}
