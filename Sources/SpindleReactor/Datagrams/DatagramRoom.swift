// SPDX-License-Identifier: Apache-2.0

internal import SpindleSystem

/// Where the datagrams of one reactor lie for a moment: those that came, and those that are to leave. Made with the
/// first socket.
final class DatagramRoom {
    // Unchecked, for the reasons in Reactor+State.swift: neither calls out while it is being changed.
    @exclusivity(unchecked) private var uncheckedIncoming: IncomingDatagrams
    @exclusivity(unchecked) private var uncheckedOutgoing: OutgoingDatagrams
    /// Whose datagrams wait to leave.
    var owner: DatagramPort?

    init(_ configuration: ReactorConfiguration) {
        unsafe uncheckedIncoming = IncomingDatagrams(
            capacity: configuration.datagramsPerReceive,
            room: configuration.largestDatagramBytes
        )
        unsafe uncheckedOutgoing = OutgoingDatagrams(
            capacity: configuration.datagramsPerReceive,
            byteCapacity: DatagramRoom.outgoingBytes,
            usesSegments: false
        )
    }

    /// What the last receive brought.
    var incoming: IncomingDatagrams {
        @inline(__always) _read { yield unsafe uncheckedIncoming }
        @inline(__always) _modify { yield unsafe &uncheckedIncoming }
    }

    /// What waits to leave.
    var outgoing: OutgoingDatagrams {
        @inline(__always) _read { yield unsafe uncheckedOutgoing }
        @inline(__always) _modify { yield unsafe &uncheckedOutgoing }
    }

    /// Of 64 messages that the kernel takes apart few are that long: then they leave in several calls.
    static var outgoingBytes: Int { 256 << 10 }
}
