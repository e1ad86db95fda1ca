// SPDX-License-Identifier: Apache-2.0

/// Bytes in order, appended behind and taken in front: one direction of a simulated socket.
///
/// Belongs to one socket. Taking a byte costs amortised constant time: what was taken is given up when it is
/// more than half of the storage.
struct SocketBuffer: Sendable {
    private var storage: [UInt8] = []
    private var start = 0

    var count: Int { storage.count - start }
    var isEmpty: Bool { count == 0 }

    mutating func append(_ bytes: some Collection<UInt8>) { storage.append(contentsOf: bytes) }

    /// Takes up to `limit` bytes out.
    mutating func take(upTo limit: Int) -> ArraySlice<UInt8> {
        let part = storage[start..<start + min(limit, count)]
        removeFirst(part.count)
        return part
    }

    mutating func removeAll() {
        storage = []
        start = 0
    }

    private mutating func removeFirst(_ length: Int) {
        start += length
        if start == storage.count {
            storage.removeAll(keepingCapacity: storage.count <= 4096)
            start = 0
        } else if start > 4096, start * 2 > storage.count {
            storage.removeFirst(start)
            start = 0
        }
    }
}
