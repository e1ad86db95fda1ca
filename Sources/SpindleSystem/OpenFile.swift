// SPDX-License-Identifier: Apache-2.0

internal import CLinux
internal import Glibc
package import SpindleCore
internal import Synchronization

/// A regular file that is open for reading; closed when nobody holds the object any more.
@safe package final class OpenFile: FileSource {
    package let descriptor: Int32
    /// The last look that found bytes in memory: what many peers ask for need not be looked at for each.
    private let lastLook = Atomic<UInt64>(0)

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

    package func read(_ count: Int, at offset: Int) throws(FileError) -> [UInt8] {
        var failure: Errno?
        let bytes = unsafe [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
            while filled < count {
                let rest = unsafe UnsafeMutableRawBufferPointer(
                    rebasing: UnsafeMutableRawBufferPointer(buffer)[filled...]
                )
                let read = unsafe cl_read_at(descriptor, rest.baseAddress, rest.count, Int64(offset + filled))
                if read == 0 { return }
                if read > 0 {
                    filled += read
                } else if read != -Int(EINTR) {
                    failure = Errno(rawValue: Int32(-read))
                    return
                }
            }
        }
        if let failure { throw .unreadable(failure) }
        return bytes
    }

    package func load(_ bytes: Range<Int>) {
        let step = 256 << 10
        for start in stride(from: bytes.lowerBound, to: bytes.upperBound, by: step) {
            guard let read = try? read(min(step, bytes.upperBound - start), at: start), !read.isEmpty else { return }
        }
    }

    package func readNow(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) -> Int? {
        let count = unsafe cl_read_now(descriptor, buffer.baseAddress, buffer.count, Int64(offset))
        if count == -Int(EOPNOTSUPP), isOfMemory {
            let count = unsafe cl_read_at(descriptor, buffer.baseAddress, buffer.count, Int64(offset))
            return count >= 0 ? count : nil
        }
        return count >= 0 ? count : nil
    }

    /// Its file system has no disk: tmpfs, and what else is in memory.
    private var isOfMemory: Bool { cl_is_of_memory(descriptor) != 0 }

    package func isInMemory(_ bytes: Range<Int>, now: MonotonicInstant) -> Bool {
        let look = Look(bytes, now)
        if look.isAsGood(as: Look(rawValue: lastLook.load(ordering: .relaxed))) { return true }
        guard isInMemory(at: bytes.lowerBound),
            bytes.count <= OpenFile.readAhead || isInMemory(at: bytes.upperBound - 1)
        else { return false }
        lastLook.store(look.rawValue, ordering: .relaxed)
        return true
    }

    package func noteInMemory(_ bytes: Range<Int>, now: MonotonicInstant) {
        lastLook.store(Look(bytes, now).rawValue, ordering: .relaxed)
    }

    /// What Linux reads of a file together, in bytes, unless it is told otherwise: no need to look at each end.
    private static var readAhead: Int { 128 << 10 }

    private func isInMemory(at offset: Int) -> Bool {
        var byte: UInt8 = 0
        let result = unsafe cl_read_now(descriptor, &byte, 1, Int64(offset))
        // Some file systems don't say (overlayfs): then it is read, to be sure.
        return result == -Int(EOPNOTSUPP) ? isOfMemory : result != -Int(EAGAIN)
    }
}

/// Bytes of a file and when they were seen in memory: 24 bits that tell them from others, mostly, and milliseconds.
private struct Look {
    let rawValue: UInt64

    init(rawValue: UInt64) { self.rawValue = rawValue }

    init(_ bytes: Range<Int>, _ now: MonotonicInstant) {
        let mark = UInt64(truncatingIfNeeded: bytes.lowerBound &* 31 &+ bytes.upperBound)
        rawValue = ((mark &* 0x9E37_79B9_7F4A_7C15) >> 40) << 40 | (now.nanoseconds / 1_000_000) & (1 << 40 - 1)
    }

    /// Within 100 ms nothing that was just sent leaves the memory.
    func isAsGood(as earlier: Look) -> Bool {
        rawValue >> 40 == earlier.rawValue >> 40 && rawValue &- earlier.rawValue < 100
    }
}

extension StreamSocket {
    /// What sending of a file did.
    package enum FileTransfer: Equatable {
        /// That many bytes. Fewer than were to be sent says nothing: the socket may be full, or the file has ended.
        case bytes(Int)
        /// The socket is full.
        case wouldBlock
        /// The connection is broken.
        case failed(Errno)
        /// The file is not what it was.
        case unreadable(FileError)
        /// Of this file the kernel can't: it has to be read and sent.
        case unsupported
    }

    /// sendfile(2) of the region's first `count` bytes, at least 1. It has no flag against SIGPIPE: the thread has to
    /// block that (`SystemThread.blockBrokenPipeSignal`).
    package func send(_ region: FileRegion, count: Int) -> FileTransfer {
        while true {
            let result = cl_send_file(descriptor, region.file.descriptor, Int64(region.offset), count)
            if result > 0 { return .bytes(result) }
            if result == 0 { return .unreadable(.shrank) }
            switch Errno(rawValue: Int32(-result)) {
            case .interrupted: continue
            case .wouldBlock: return .wouldBlock
            case .invalidArgument: return .unsupported
            case let errno: return blame(region, errno)
            }
        }
    }

    /// sendfile(2) does not say whose error it is: the file is asked.
    private func blame(_ region: FileRegion, _ errno: Errno) -> FileTransfer {
        do throws(FileError) { _ = try region.slice(0..<1).read(atMost: 1) } catch { return .unreadable(error) }
        return .failed(errno)
    }
}
