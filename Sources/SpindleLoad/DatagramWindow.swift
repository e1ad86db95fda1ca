// SPDX-License-Identifier: Apache-2.0

/// The datagrams of a peer that are on their way: what the latency of each counts from, and how long it is. Pure.
///
/// A datagram says its number; any may be lost, overtake others, or come twice.
struct DatagramWindow {
    /// Bytes of the number that each begins with.
    static let headerBytes = 8

    /// What became of one that came back.
    enum Arrival: Equatable {
        /// What its latency counts from.
        case onTime(start: UInt64)
        /// It had been given up, or has come before.
        case unexpected
        /// It has not the length of the one with its number.
        case wrong
    }

    private struct Entry {
        /// Nil when it is on its way no more.
        var number: UInt64?
        var time: UInt64 = 0
        var sentAt: UInt64 = 0
        var size = 0
    }

    private var entries: [Entry]
    private var free: [Int]
    private let sizes: [Int]
    private let firstSize: Int
    private(set) var sent = 0, received = 0, lost = 0

    /// - Parameters:
    ///   - depth: The most datagrams on the way.
    ///   - sizes: Bytes of the datagrams, which come again from the first.
    ///   - firstSize: Which of them is the first datagram's.
    init(depth: Int, sizes: [Int], firstSize: Int = 0) {
        entries = Array(repeating: Entry(), count: depth)
        free = Array((0..<depth).reversed())
        self.sizes = sizes
        self.firstSize = firstSize
    }

    var onTheWay: Int { entries.count - free.count }
    var room: Int { free.count }

    /// Puts one more on the way. There must be room.
    ///
    /// - Parameters:
    ///   - time: Nanoseconds: what its latency counts from.
    ///   - now: When it leaves.
    /// - Returns: Its number, in which its place is the lower half, and its bytes.
    mutating func send(at time: UInt64, now: UInt64) -> (number: UInt64, size: Int) {
        guard let place = free.popLast() else { preconditionFailure("a full window") }
        let number = UInt64(UInt32(truncatingIfNeeded: sent)) << 32 | UInt64(place)
        let size = sizes[(firstSize + sent) % sizes.count]
        entries[place] = Entry(number: number, time: time, sentAt: now, size: size)
        sent += 1
        return (number, size)
    }

    /// One has come back, by its number.
    mutating func receive(_ number: UInt64, size: Int) -> Arrival {
        let place = Int(number & 0xffff_ffff)
        guard entries.indices.contains(place) else { return .wrong }
        guard entries[place].number == number else { return .unexpected }
        guard entries[place].size == size else { return .wrong }
        release(place)
        received += 1
        return .onTime(start: entries[place].time)
    }

    /// Gives up what has left before `time` and not come back.
    ///
    /// - Returns: How many.
    mutating func giveUp(sentBefore time: UInt64) -> Int {
        var count = 0
        for place in entries.indices where entries[place].number != nil && entries[place].sentAt < time {
            release(place)
            count += 1
        }
        lost += count
        return count
    }

    private mutating func release(_ place: Int) {
        entries[place].number = nil
        free.append(place)
    }
}
