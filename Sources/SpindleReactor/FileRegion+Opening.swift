// SPDX-License-Identifier: Apache-2.0

public import SpindleCore
internal import SpindleSystem

extension FileRegion {
    /// Opens a file to be sent. May block, as its disk does: `Engine.blocking` is the place for disks that are slow.
    ///
    /// - Parameters:
    ///   - path: A regular file's, or of a link to one. open(2).
    ///   - offset: Where to begin, in bytes.
    ///   - count: How many bytes; nil for all that the file has now.
    /// - Throws: `FileError`: it can't be opened, is a folder or another thing without bytes at places, or has fewer.
    public init(path: String, offset: Int = 0, count: Int? = nil) throws(FileError) {
        let (file, byteCount) = try OpenFile.open(path)
        try self.init(file, of: byteCount, offset, count, name: path)
    }

    /// A file that somebody else has opened for reading, and closes now or later: this is another number for it.
    ///
    /// - Parameters: As for a path.
    /// - Throws: As for a path.
    public init(descriptor: Int32, offset: Int = 0, count: Int? = nil) throws(FileError) {
        let (file, byteCount) = try OpenFile.duplicate(of: descriptor)
        try self.init(file, of: byteCount, offset, count, name: "descriptor \(descriptor)")
    }

    private init(_ file: OpenFile, of byteCount: Int, _ offset: Int, _ count: Int?, name: String) throws(FileError) {
        guard (0...byteCount).contains(offset), (0...byteCount - offset).contains(count ?? 0) else {
            throw .outside(file: name, byteCount: byteCount)
        }
        self.init(file, offset: offset, count: count ?? byteCount - offset)
    }
}
