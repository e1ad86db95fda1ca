// SPDX-License-Identifier: Apache-2.0

internal import CLinux
internal import Glibc
package import SpindleCore

/// A regular file that is open for reading; closed when nobody holds the object any more.
@safe package final class OpenFile: FileSource {
    package let descriptor: Int32

    private init(owning descriptor: Int32) { self.descriptor = descriptor }

    deinit { Descriptor.close(descriptor) }

    /// Opens the file of this path. May block, as its disk does. open(2).
    ///
    /// - Returns: The file, and how many bytes it has.
    package static func open(_ path: String) throws(FileError) -> (file: OpenFile, byteCount: Int) {
        let descriptor = unsafe cl_open_file(path)
        guard descriptor >= 0 else { throw .refused(file: path, Errno(rawValue: -descriptor)) }
        return try looked(OpenFile(owning: descriptor), name: path)
    }

    /// Another number for a file that somebody else has opened, and keeps. F_DUPFD_CLOEXEC, fcntl(2).
    package static func duplicate(of descriptor: Int32) throws(FileError) -> (file: OpenFile, byteCount: Int) {
        let name = "descriptor \(descriptor)"
        let copy = cl_duplicate(descriptor)
        guard copy >= 0 else { throw .refused(file: name, Errno(rawValue: -copy)) }
        return try looked(OpenFile(owning: copy), name: name)
    }

    private static func looked(_ file: OpenFile, name: String) throws(FileError) -> (file: OpenFile, byteCount: Int) {
        let size = cl_file_size(file.descriptor)
        guard size != Int64(CL_NOT_REGULAR) else { throw .notRegular(file: name) }
        guard size >= 0 else { throw .refused(file: name, Errno(rawValue: Int32(-size))) }
        return (file, Int(size))
    }

    package func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws(FileError) -> Int {
        while true {
            let count = unsafe cl_read_at(descriptor, buffer.baseAddress, buffer.count, Int64(offset))
            if count >= 0 { return count }
            if count != -Int(EINTR) { throw .unreadable(Errno(rawValue: Int32(-count))) }
        }
    }

    package func readNow(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) -> Int? {
        let count = unsafe cl_read_now(descriptor, buffer.baseAddress, buffer.count, Int64(offset))
        return count >= 0 ? count : nil
    }

    package func isInMemory(at offset: Int) -> Bool {
        var byte: UInt8 = 0
        return unsafe cl_read_now(descriptor, &byte, 1, Int64(offset)) != -Int(EAGAIN)
    }
}

extension StreamSocket {
    /// What sending of a file did.
    package enum FileTransfer: Equatable {
        /// That many bytes; the socket is full if they are fewer than were to be sent.
        case bytes(Int)
        /// The socket is full.
        case wouldBlock
        /// The connection is broken.
        case failed(Errno)
        /// The file is not what it was.
        case unreadable(FileError)
    }

    /// sendfile(2) of the region's first `count` bytes, at least 1. It has no flag against SIGPIPE: the thread has to
    /// block that (`SystemThread.blockBrokenPipeSignal`).
    package func send(_ region: FileRegion, count: Int) -> FileTransfer {
        while true {
            let result = cl_send_file(descriptor, region.file.descriptor, Int64(region.offset), count)
            if result == count { return .bytes(result) }
            if result >= 0 {
                // The socket is full, or the file has ended: then nothing would tell of room.
                return isCut(region) ? .unreadable(.shrank) : .bytes(result)
            }
            switch Errno(rawValue: Int32(-result)) {
            case .interrupted: continue
            case .wouldBlock: return .wouldBlock
            case let errno: return blame(region, errno)
            }
        }
    }

    private func isCut(_ region: FileRegion) -> Bool {
        let size = cl_file_size(region.file.descriptor)
        return size >= 0 && size < Int64(region.offset + region.count)
    }

    /// sendfile(2) does not say whose error it is: the file is asked.
    private func blame(_ region: FileRegion, _ errno: Errno) -> FileTransfer {
        do throws(FileError) { _ = try region.slice(0..<1).read(atMost: 1) } catch { return .unreadable(error) }
        return .failed(errno)
    }
}
