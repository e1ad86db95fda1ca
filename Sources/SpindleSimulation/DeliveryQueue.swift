// SPDX-License-Identifier: Apache-2.0

/// What is on its way through a simulated network, by due time and, among equals, in the order of sending.
///
/// A binary heap: adding and taking cost O(log n). Pure; the network's clock decides what is due.
struct DeliveryQueue: Sendable {
    enum Parcel: Sendable {
        /// So many of the socket's unsent bytes may cross.
        case bytes(from: SocketID, count: Int)
        /// The socket's end of output may cross, behind its bytes.
        case end(from: SocketID)
        /// A reset reaches the socket.
        case reset(to: SocketID)
        /// The handshake of the connecting socket is over.
        case established(SocketID)
        /// A datagram arrives.
        case datagram(SimulatedDatagram)
    }

    private struct Entry {
        let due: UInt64
        let number: UInt64
        let parcel: Parcel
        static func < (left: Entry, right: Entry) -> Bool {
            left.due != right.due ? left.due < right.due : left.number < right.number
        }
    }

    private var heap: [Entry] = []
    private var nextNumber: UInt64 = 0

    var count: Int { heap.count }

    /// The time of the first parcel; nil without one.
    var firstDue: UInt64? { heap.first?.due }

    mutating func add(_ parcel: Parcel, due: UInt64) {
        heap.append(Entry(due: due, number: nextNumber, parcel: parcel))
        nextNumber += 1
        var index = heap.count - 1
        while index > 0, heap[index] < heap[(index - 1) / 2] {
            heap.swapAt(index, (index - 1) / 2)
            index = (index - 1) / 2
        }
    }

    /// Takes the first parcel when it is due by `time`.
    mutating func popFirst(dueBy time: UInt64) -> (due: UInt64, parcel: Parcel)? {
        guard let first = heap.first, first.due <= time else { return nil }
        heap.swapAt(0, heap.count - 1)
        heap.removeLast()
        var index = 0
        while true {
            var least = index
            for child in [2 * index + 1, 2 * index + 2] where child < heap.count && heap[child] < heap[least] {
                least = child
            }
            guard least != index else { return (first.due, first.parcel) }
            heap.swapAt(index, least)
            index = least
        }
    }
}
