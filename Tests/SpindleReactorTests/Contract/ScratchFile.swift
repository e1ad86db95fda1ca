// SPDX-License-Identifier: Apache-2.0

import Glibc
import SpindleCore
import Synchronization

@testable import SpindleReactor

/// A file without a name, for a test.
final class ScratchFile {
    let descriptor: Int32

    init(_ bytes: [UInt8]) {
        var name = Array("/tmp/spindle-scratch-XXXXXX".utf8CString)
        descriptor = unsafe mkstemp(&name)
        precondition(descriptor >= 0, "no scratch file in /tmp")
        unsafe unlink(name)
        var rest = bytes[...]
        while !rest.isEmpty {
            let written = unsafe rest.withUnsafeBytes { unsafe Glibc.write(descriptor, $0.baseAddress, $0.count) }
            precondition(written > 0, "/tmp takes no bytes")
            rest = rest.dropFirst(written)
        }
    }

    deinit { close(descriptor) }

    func region(_ offset: Int = 0, _ count: Int? = nil) throws -> FileRegion {
        try FileRegion(descriptor: descriptor, offset: offset, count: count)
    }

    func cut(to length: Int) { ftruncate(descriptor, length) }
}

/// A file whose bytes are not in memory until they have been read, on a disk that may fail.
final class SlowSource: FileSource {
    let inner: any FileSource
    private let state = Mutex<(loaded: Int, failsAt: Int?)>((0, nil))

    init(_ region: FileRegion, failsAt place: Int? = nil) {
        inner = region.file
        state.withLock { $0.failsAt = place }
    }

    var descriptor: Int32 { inner.descriptor }
    /// The bytes that were read, from the first on.
    var loadedByteCount: Int { state.withLock(\.loaded) }

    func read(_ count: Int, at offset: Int) throws(FileError) -> [UInt8] {
        if let place = state.withLock(\.failsAt), offset + count > place { throw .unreadable(.inputOutput) }
        return try inner.read(count, at: offset)
    }

    func load(_ bytes: Range<Int>) { state.withLock { $0.loaded = max($0.loaded, bytes.upperBound) } }

    func readNow(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) -> Int? {
        offset + buffer.count <= loadedByteCount ? unsafe inner.readNow(into: buffer, at: offset) : nil
    }

    func noteInMemory(_ bytes: Range<Int>, now: MonotonicInstant) {}

    func isInMemory(_ bytes: Range<Int>, now: MonotonicInstant) -> Bool { bytes.upperBound <= loadedByteCount }
}
