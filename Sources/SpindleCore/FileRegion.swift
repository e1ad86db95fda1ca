// SPDX-License-Identifier: Apache-2.0

/// Bytes of an open file that are sent without passing through this program. sendfile(2).
///
/// A value: copies share the file, which is closed when the last of them is gone. Regions are made from a path, or a
/// descriptor by whoever has opened the file.
///
/// The bytes are not copied, and until the peer has them all the network reads them from where the file has them in
/// memory, also after `writeDrained`: a file that is changed in its place meanwhile changes what the peer gets, and one
/// that is cut gives it zeros. Put a new file in the place of an old one (rename(2)), which then stays as it was.
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
        let bytes = try file.read(wanted, at: offset)
        guard bytes.count == wanted else { throw .shrank }
        return bytes
    }

    /// Reads all bytes, as many as the buffer has room for, without waiting for a disk.
    ///
    /// - Returns: False when they are not in memory, or the file is not what it was.
    package func readNow(into buffer: UnsafeMutableRawBufferPointer) -> Bool {
        unsafe file.readNow(into: buffer, at: offset) == count
    }
}

/// An open file. From any thread.
package protocol FileSource: AnyObject, Sendable {
    /// Its number, valid for as long as the object is.
    var descriptor: Int32 { get }

    /// Reads `count` bytes from `offset` on, fewer at the end of the file.
    func read(_ count: Int, at offset: Int) throws(FileError) -> [UInt8]

    /// Has the system keep these bytes in memory. Blocks; errors are left to whoever sends them.
    func load(_ bytes: Range<Int>)

    /// Reads bytes without waiting for a disk: how many; nil when it would have to, or fails.
    func readNow(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) -> Int?

    /// False when sending these bytes would wait for a disk, as far as a look can tell.
    ///
    /// - Parameter now: Who has looked lately need not look again.
    func isInMemory(_ bytes: Range<Int>, now: MonotonicInstant) -> Bool

    /// They have just been loaded.
    func noteInMemory(_ bytes: Range<Int>, now: MonotonicInstant)
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
