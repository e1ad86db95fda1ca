// SPDX-License-Identifier: Apache-2.0

/// The messages of a connection that are on their way: what the latency of each counts from, and where it ends in
/// the stream. Pure.
struct MessageWindow {
    /// Rings of as many entries as messages may be on the way.
    private var times: [UInt64]
    private var ends: [UInt64]
    private let sizes: [Int]
    private let firstSize: Int
    /// Messages, since the beginning.
    private(set) var sent = 0, received = 0
    /// Bytes, since the beginning.
    private(set) var sentBytes: UInt64 = 0, receivedBytes: UInt64 = 0

    /// - Parameters:
    ///   - depth: The most messages on the way.
    ///   - sizes: Bytes of the messages, which come again from the first.
    ///   - firstSize: Which of them is the first message's, so that connections don't all begin alike.
    init(depth: Int, sizes: [Int], firstSize: Int = 0) {
        times = Array(repeating: 0, count: depth)
        ends = Array(repeating: 0, count: depth)
        self.sizes = sizes
        self.firstSize = firstSize
    }

    var onTheWay: Int { sent - received }
    var room: Int { times.count - onTheWay }

    /// Puts one more message on the way. There must be room.
    ///
    /// - Parameter time: Nanoseconds: what its latency counts from.
    /// - Returns: Its bytes.
    mutating func send(at time: UInt64) -> Int {
        let bytes = sizes[(firstSize + sent) % sizes.count]
        sentBytes += UInt64(bytes)
        times[sent % times.count] = time
        ends[sent % ends.count] = sentBytes
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
        while received < sent, ends[received % ends.count] <= receivedBytes {
            finished(times[received % times.count])
            received += 1
        }
        return true
    }
}
