// SPDX-License-Identifier: Apache-2.0

/// What the connection whose callback runs has written: small pieces, gathered to leave in one send.
@safe struct Cork: ~Copyable {
    private let buffer: UnsafeMutableRawPointer
    private let capacity: Int
    private(set) var count = 0

    init(capacity: Int) {
        unsafe buffer = .allocate(byteCount: capacity, alignment: 64)
        self.capacity = capacity
    }

    deinit { unsafe buffer.deallocate() }

    /// Copies `bytes` behind the others; false, without a change, when there is no room.
    @inline(__always)
    mutating func append(_ bytes: Span<UInt8>) -> Bool {
        let length = bytes.count
        guard length <= capacity - count else { return false }
        unsafe bytes.withUnsafeBufferPointer {
            guard let start = $0.baseAddress else { return }
            unsafe (buffer + count).copyMemory(from: start, byteCount: length)
        }
        count += length
        return true
    }

    /// Has `fill` write so many bytes behind the others; false, without a change, when there is no room or it fails.
    mutating func append(count length: Int, _ fill: (UnsafeMutableRawBufferPointer) -> Bool) -> Bool {
        guard length <= capacity - count,
            unsafe fill(UnsafeMutableRawBufferPointer(start: buffer + count, count: length))
        else { return false }
        count += length
        return true
    }

    /// What was gathered. Valid until the cork is changed.
    @unsafe var bytes: UnsafeRawBufferPointer { unsafe UnsafeRawBufferPointer(start: buffer, count: count) }

    mutating func removeAll() { count = 0 }
}
