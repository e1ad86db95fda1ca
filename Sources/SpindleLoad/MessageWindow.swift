// SPDX-License-Identifier: Apache-2.0

/// The messages of a connection that are on their way: what the latency of each counts from, and where it ends in
/// the stream. Pure.
struct MessageWindow {
    /// A message on its way: what its latency counts from, and where it ends in the stream.
    private struct Entry {
        var time: UInt64 = 0
        var end: UInt64 = 0
    }

    /// A ring of as many entries as messages may be on the way, at least, with a power of two of them.
    private var entries: [Entry]
    private let mask: Int
    private let depth: Int
    private let sizes: [Int]
    /// Which of the sizes is the next message's.
    private var nextSize: Int
    /// Messages, since the beginning.
    private(set) var sent = 0, received = 0
    /// Bytes, since the beginning.
    private(set) var sentBytes: UInt64 = 0, receivedBytes: UInt64 = 0

    /// - Parameters:
    ///   - depth: The most messages on the way.
    ///   - sizes: Bytes of the messages, which come again from the first.
    ///   - firstSize: Which of them is the first message's, so that connections don't all begin alike.
    init(depth: Int, sizes: [Int], firstSize: Int = 0) {
        self.depth = depth
        let capacity = 1 << (Int.bitWidth - (depth - 1).leadingZeroBitCount)
        entries = Array(repeating: Entry(), count: capacity)
        mask = capacity - 1
        self.sizes = sizes
        nextSize = firstSize % sizes.count
    }

    var onTheWay: Int { sent - received }
    var room: Int { depth - onTheWay }

    /// Puts one more message on the way. There must be room.
    ///
    /// - Parameter time: Nanoseconds: what its latency counts from.
    /// - Returns: Its bytes.
    mutating func send(at time: UInt64) -> Int {
        let bytes = sizes[nextSize]
        nextSize = nextSize + 1 < sizes.count ? nextSize + 1 : 0
        sentBytes += UInt64(bytes)
        entries[sent & mask] = Entry(time: time, end: sentBytes)
        sent += 1
        return bytes
    }

    /// Takes in bytes that came back.
    ///
    /// - Parameter finished: Called for each message that they complete, with what its latency counts from.
    /// - Returns: False when more has come back than was sent.
    mutating func receive(_ count: Int, finished: (_ time: UInt64) -> Void) -> Bool {
        receivedBytes += UInt64(count)
        guard receivedBytes <= sentBytes else { return false }
        while received < sent, entries[received & mask].end <= receivedBytes {
            finished(entries[received & mask].time)
            received += 1
        }
        return true
    }
}
