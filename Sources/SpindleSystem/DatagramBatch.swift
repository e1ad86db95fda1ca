// SPDX-License-Identifier: Apache-2.0

internal import CLinux
internal import Glibc
internal import SpindleCore

/// Datagrams that came in with one call. Allocated once, by the thread that uses it.
@safe package struct IncomingDatagrams: ~Copyable {
    /// So many come at most with one call.
    package let capacity: Int
    /// So many bytes each may have; the rest of a longer one is cut off, and said to be. With groups 65,535.
    package let room: Int
    /// How many found no room in the socket since it was made, as far as the kernel has told.
    package var dropCount: UInt32 = 0

    let datagrams: UnsafeMutablePointer<cl_datagram>
    let scratch: OpaquePointer
    private let memory: UnsafeMutableRawPointer

    package init(capacity: Int, room: Int) {
        precondition(capacity > 0 && room > 0, "\(capacity) datagrams of \(room) bytes")
        self.capacity = capacity
        self.room = room
        unsafe memory = .allocate(byteCount: capacity * room, alignment: 64)
        unsafe datagrams = .allocate(capacity: capacity)
        unsafe datagrams.initialize(repeating: cl_datagram(), count: capacity)
        for index in 0..<capacity { unsafe datagrams[index].bytes = memory + index * room }
        unsafe scratch = cl_datagram_scratch_make(CInt(capacity))
    }

    deinit {
        unsafe cl_datagram_scratch_free(scratch)
        unsafe datagrams.deallocate()
        unsafe memory.deallocate()
    }

    /// One that came, of which `index` is below what `receive` returned.
    package subscript(index: Int) -> IncomingDatagram {
        precondition(index >= 0 && index < capacity, "datagram \(index) of \(capacity)")
        return unsafe IncomingDatagram(datagrams + index)
    }

    /// Shows its bytes.
    package func withBytes<Result, Failure: Error>(
        of index: Int,
        _ body: (Span<UInt8>) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        precondition(index >= 0 && index < capacity, "datagram \(index) of \(capacity)")
        let datagram = unsafe datagrams[index]
        let bytes = unsafe UnsafeBufferPointer(
            start: datagram.bytes.assumingMemoryBound(to: UInt8.self),
            count: min(Int(datagram.count), room)
        )
        return try body(unsafe bytes.span)
    }
}

/// What is known of a datagram that came, or of several that came as one.
@safe package struct IncomingDatagram {
    /// Who sent it.
    package let peer: DatagramPeer
    /// Of several that came as one, the bytes of each but the last; 0 when it is one.
    package let segmentBytes: Int
    /// It was longer than there was room for.
    package let isTruncated: Bool
    /// Two bits. RFC 3168.
    package let ecn: UInt8
    /// Which address it came to; nil when the socket was not asked to tell.
    package let source: DatagramSource?

    init(_ raw: UnsafeMutablePointer<cl_datagram>) {
        let raw = unsafe raw.pointee
        peer = unsafe DatagramPeer(raw.peer)
        segmentBytes = unsafe Int(raw.segment)
        isTruncated = unsafe raw.truncated != 0
        ecn = unsafe raw.ecn
        source = unsafe DatagramSource(raw)
    }
}

/// Datagrams that are to leave with one call: bytes are copied in, and those of one size to one peer, one after the
/// other, become one message that the kernel takes apart (UDP_SEGMENT).
@safe package struct OutgoingDatagrams: ~Copyable {
    /// Messages.
    package let capacity: Int
    /// Bytes of all messages.
    package let byteCapacity: Int
    /// Messages that wait.
    package private(set) var count = 0
    /// Datagrams in them.
    package private(set) var datagramCount = 0
    private var byteCount = 0
    /// The last message can take another datagram.
    private var isOpen = false
    private var segmentsInLast = 0
    private let usesSegments: Bool

    let messages: UnsafeMutablePointer<cl_datagram>
    let scratch: OpaquePointer
    private let memory: UnsafeMutableRawPointer

    /// UDP_MAX_SEGMENTS of every kernel that has UDP_SEGMENT.
    private static var mostSegments: Int { 64 }
    /// What an IPv4 packet takes: 65,535 less the headers.
    package static var mostBytes: Int { 65_507 }

    package init(capacity: Int, byteCapacity: Int, usesSegments: Bool) {
        precondition(capacity > 0 && byteCapacity >= OutgoingDatagrams.mostBytes, "\(byteCapacity) bytes")
        self.capacity = capacity
        self.byteCapacity = byteCapacity
        self.usesSegments = usesSegments
        unsafe memory = .allocate(byteCount: byteCapacity, alignment: 64)
        unsafe messages = .allocate(capacity: capacity)
        unsafe messages.initialize(repeating: cl_datagram(), count: capacity)
        unsafe scratch = cl_datagram_scratch_make(CInt(capacity))
    }

    deinit {
        unsafe cl_datagram_scratch_free(scratch)
        unsafe messages.deallocate()
        unsafe memory.deallocate()
    }

    /// Adds a datagram, at most `mostBytes` long.
    ///
    /// - Parameters:
    ///   - peer: Whom to; nil for the peer that the socket is connected to.
    ///   - source: Which address it leaves from; nil for the kernel's choice.
    ///   - ecn: Two bits. RFC 3168.
    /// - Returns: False when there is no room: what waits has to be sent first.
    package mutating func append(
        _ bytes: Span<UInt8>,
        to peer: DatagramPeer?,
        from source: DatagramSource? = nil,
        ecn: UInt8 = 0
    ) -> Bool {
        precondition(bytes.count <= OutgoingDatagrams.mostBytes, "\(bytes.count) bytes")
        guard byteCount + bytes.count <= byteCapacity else { return false }
        var message = unsafe cl_datagram()
        unsafe message.bytes = memory + byteCount
        unsafe message.count = UInt32(bytes.count)
        unsafe message.ecn = ecn
        if let peer { unsafe message.peer = peer.raw }
        if let source { unsafe source.put(into: &message) }
        if isOpen, unsafe joins(&message) {
            copy(bytes)
            join(bytes.count)
            return true
        }
        guard count < capacity else { return false }
        unsafe messages[count] = message
        copy(bytes)
        count += 1
        datagramCount += 1
        segmentsInLast = 1
        isOpen = usesSegments && !bytes.isEmpty
        return true
    }

    @unsafe private func joins(_ message: inout cl_datagram) -> Bool {
        let last = unsafe messages + count - 1
        let segment = unsafe last.pointee.segment > 0 ? UInt32(last.pointee.segment) : last.pointee.count
        return unsafe message.count > 0 && message.count <= segment
            && segmentsInLast < OutgoingDatagrams.mostSegments
            && last.pointee.count + message.count <= UInt32(OutgoingDatagrams.mostBytes)
            && cl_same_path(last, &message) != 0
    }

    private mutating func join(_ length: Int) {
        let last = unsafe messages + count - 1
        if unsafe last.pointee.segment == 0 { unsafe last.pointee.segment = UInt16(last.pointee.count) }
        // A shorter one is the last of its message.
        isOpen = unsafe length == Int(last.pointee.segment)
        unsafe last.pointee.count += UInt32(length)
        datagramCount += 1
        segmentsInLast += 1
    }

    private mutating func copy(_ bytes: Span<UInt8>) {
        unsafe bytes.withUnsafeBytes { source in
            guard let base = source.baseAddress else { return }
            unsafe (memory + byteCount).copyMemory(from: base, byteCount: source.count)
        }
        byteCount += bytes.count
    }

    /// How many datagrams a message has.
    package func datagramCount(ofMessage index: Int) -> Int {
        precondition(index >= 0 && index < count, "message \(index) of \(count)")
        let message = unsafe messages[index]
        guard unsafe message.segment > 0 else { return 1 }
        return unsafe (Int(message.count) + Int(message.segment) - 1) / Int(message.segment)
    }

    package mutating func removeAll() {
        (count, datagramCount, byteCount, isOpen) = (0, 0, 0, false)
    }
}
