// SPDX-License-Identifier: Apache-2.0

/// Bytes of an open file that are sent without passing through this program. sendfile(2).
///
/// A value: copies share the file, which is closed when the last of them is gone. The bytes are those that the file
/// has when they are sent: whoever writes to it meanwhile changes what the peer gets. Regions are made from a path or a
/// descriptor, by whoever has opened the file.
public struct FileRegion: Sendable {
    /// Where the bytes come from.
    package let file: any FileSource
    /// Where it begins in the file, in bytes.
    public private(set) var offset: Int
    /// How many bytes.
    public private(set) var count: Int

    package init(_ file: any FileSource, offset: Int, count: Int) {
        precondition(offset >= 0 && count >= 0, "\(count) bytes of a file from \(offset)")
        self.file = file
        self.offset = offset
        self.count = count
    }

    /// True without bytes.
    public var isEmpty: Bool { count == 0 }

    /// The part of the region in `range`, which must lie within 0..<count; shares the file.
    public func slice(_ range: Range<Int>) -> FileRegion {
        precondition(range.lowerBound >= 0 && range.upperBound <= count, "slice \(range) of \(count) bytes")
        return FileRegion(file, offset: offset + range.lowerBound, count: range.count)
    }

    /// Drops the first `length` bytes.
    package mutating func removeFirst(_ length: Int) {
        precondition(length <= count, "dropping \(length) of \(count) bytes")
        offset += length
        count -= length
    }

    /// Reads the region's first bytes into memory, for who has to see them. May block, as the file's disk does.
    ///
    /// - Parameter limit: So many at most, at least 1.
    /// - Returns: 1 to `limit` bytes, fewer only at the region's end; none of an empty region.
    /// - Throws: `FileError`: the file has become shorter, or can't be read.
    public func read(atMost limit: Int) throws(FileError) -> [UInt8] {
        precondition(limit > 0, "reading \(limit) bytes")
        let wanted = min(limit, count)
        var failure: FileError?
        let bytes = unsafe [UInt8](unsafeUninitializedCapacity: wanted) { buffer, filled in
            do throws(FileError) {
                while filled < wanted {
                    let rest = unsafe UnsafeMutableBufferPointer(rebasing: buffer[filled..<wanted])
                    let read = try unsafe file.read(into: UnsafeMutableRawBufferPointer(rest), at: offset + filled)
                    guard read > 0 else { throw .shrank }
                    filled += read
                }
            } catch { failure = error }
        }
        if let failure { throw failure }
        return bytes
    }

    /// False when sending the first `length` bytes would wait for a disk, as far as the first of them shows and, where
    /// the system does not read it along with that one, the last.
    package func isInMemory(_ length: Int) -> Bool {
        file.isInMemory(at: offset)
            && (length <= FileRegion.readAhead || file.isInMemory(at: offset + length - 1))
    }

    /// What Linux reads of a file together, in bytes, unless it is told otherwise.
    private static var readAhead: Int { 128 << 10 }

    /// Reads all bytes, as many as the buffer has room for, without waiting for a disk.
    ///
    /// - Returns: False when they are not in memory, or the file is not what it was.
    package func readNow(into buffer: UnsafeMutableRawBufferPointer) -> Bool {
        unsafe file.readNow(into: buffer, at: offset) == count
    }

    /// Has the system keep the first `length` bytes in memory: reads them and forgets them. Blocks. Errors are left to
    /// whoever sends them.
    package func load(_ length: Int) {
        unsafe withUnsafeTemporaryAllocation(byteCount: 64 << 10, alignment: 16) { buffer in
            var start = offset
            let end = offset + length
            while start < end {
                let piece = unsafe UnsafeMutableRawBufferPointer(rebasing: buffer[..<min(buffer.count, end - start)])
                guard let read = try? unsafe file.read(into: piece, at: start), read > 0 else { return }
                start += read
            }
        }
    }
}

/// An open file. From any thread.
package protocol FileSource: AnyObject, Sendable {
    /// Its number, valid for as long as the object is.
    var descriptor: Int32 { get }

    /// Reads bytes at `offset`: how many, 0 at the end of the file.
    func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws(FileError) -> Int

    /// As `read`, without waiting for a disk: nil when it would have to, or fails.
    func readNow(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) -> Int?

    /// False when reading the byte at `offset` would wait for a disk; true, too, when that can't be told.
    func isInMemory(at offset: Int) -> Bool
}

/// Why a file can't be sent.
public enum FileError: Error, Equatable, CustomStringConvertible {
    /// It can't be opened, or looked at: what open(2) or fstat(2) say.
    case refused(file: String, Errno)
    /// A folder, a pipe, a device: nothing that has bytes at places.
    case notRegular(file: String)
    /// The region does not lie within the file.
    case outside(file: String, byteCount: Int)
    /// The file became shorter while it was sent: the connection ends, since its peer waits for the rest.
    case shrank
    /// What reading it gave while it was sent; the connection ends.
    case unreadable(Errno)

    /// One sentence for a log.
    public var description: String {
        switch self {
        case .refused(let file, let errno): "\(file) can't be opened: \(errno)"
        case .notRegular(let file): "\(file) is no regular file"
        case .outside(let file, let byteCount): "\(file) has \(byteCount) bytes, and others were to be sent"
        case .shrank: "a file became shorter while it was sent"
        case .unreadable(let errno): "a file can't be read: \(errno)"
        }
    }
}
