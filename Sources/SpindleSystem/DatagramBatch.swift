// SPDX-License-Identifier: Apache-2.0

internal import CLinux
internal import Glibc
package import SpindleCore

/// Datagrams that came in with one call. Allocated once, by the thread that uses it.
@safe package struct IncomingDatagrams: ~Copyable {
    /// So many come at most with one call.
    package let capacity: Int
    /// So many bytes each may have; the rest of a longer one is cut off, and said to be. With groups 65,535.
    package let room: Int
    /// How many found no room in the socket since it was made, as far as the kernel has told of the last receive's.
    package var dropCount: UInt32 = 0

    let datagrams: UnsafeMutablePointer<cl_datagram>
    let scratch: OpaquePointer
    private let memory: UnsafeMutableRawPointer

    package init(capacity: Int, room: Int) {
        precondition(capacity > 0 && room > 0, "\(capacity) datagrams of \(room) bytes")
        self.capacity = capacity
        self.room = room
        // Not a power of two apart: their first lines would all fall into one set of the cache.
        let stride = (room + 127) & ~63 | 64
        unsafe memory = .allocate(byteCount: capacity * stride, alignment: 64)
        unsafe datagrams = .allocate(capacity: capacity)
        unsafe datagrams.initialize(repeating: cl_datagram(), count: capacity)
        for index in 0..<capacity { unsafe datagrams[index].bytes = memory + index * stride }
        unsafe scratch = cl_datagram_scratch_make_incoming(datagrams, CInt(capacity), UInt32(room))
    }

    deinit {
        unsafe cl_datagram_scratch_free(scratch)
        unsafe datagrams.deallocate()
        unsafe memory.deallocate()
    }

    /// Shows one that came: its bytes, or those of all of its segments; the bytes of each but the last, 0 when it is
    /// one; and where it is from.
    @inline(__always)
    package func withDatagram<Result>(
        _ index: Int,
        _ body: (Span<UInt8>, Int, DatagramOrigin) -> Result
    ) -> Result {
        let datagram = unsafe pointer(to: index)
        let count = unsafe min(Int(datagram.pointee.count), room)
        let bytes = unsafe UnsafeBufferPointer(
            start: datagram.pointee.bytes.assumingMemoryBound(to: UInt8.self),
            count: count
        )
        let segment = unsafe Int(datagram.pointee.segment)
        let origin = unsafe DatagramOrigin(
            source: DatagramPeer(datagram.pointee.peer),
            path: DatagramPath(datagram),
            isTruncated: datagram.pointee.truncated != 0
        )
        return unsafe body(bytes.span, segment < count ? segment : 0, origin)
    }

    /// What is known of one that came, of which `index` is below what `receive` returned.
    package func origin(of index: Int) -> DatagramOrigin { withDatagram(index) { _, _, origin in origin } }

    /// Of several that came as one, the bytes of each but the last; 0 when it is one.
    package func segmentBytes(of index: Int) -> Int { withDatagram(index) { _, segment, _ in segment } }

    /// Its bytes, or those of all of its segments.
    package func byteCount(of index: Int) -> Int { withDatagram(index) { bytes, _, _ in bytes.count } }

    /// Shows its bytes.
    package func withBytes<Result>(of index: Int, _ body: (Span<UInt8>) -> Result) -> Result {
        withDatagram(index) { bytes, _, _ in body(bytes) }
    }

    /// What a driver without a kernel has received.
    package mutating func put(_ bytes: [UInt8], from origin: DatagramOrigin, segmentBytes: Int, at index: Int) {
        let datagram = unsafe pointer(to: index)
        unsafe datagram.pointee.peer = origin.source.raw
        unsafe origin.path.put(into: datagram)
        let count = min(bytes.count, room)
        unsafe bytes.withUnsafeBytes {
            guard let base = $0.baseAddress else { return }
            unsafe datagram.pointee.bytes.copyMemory(from: base, byteCount: count)
        }
        unsafe datagram.pointee.count = UInt32(count)
        unsafe datagram.pointee.segment = UInt16(segmentBytes)
        unsafe datagram.pointee.truncated = origin.isTruncated || count < bytes.count ? 1 : 0
    }

    @inline(__always)
    fileprivate func pointer(to index: Int) -> UnsafeMutablePointer<cl_datagram> {
        precondition(index >= 0 && index < capacity, "datagram \(index) of \(capacity)")
        return unsafe datagrams + index
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
    /// Bytes in them.
    package private(set) var byteCount = 0
    /// The last message can take another datagram.
    private var isOpen = false
    private var segmentsInLast = 0
    /// Longer datagrams are not joined: their path does not take them as segments. 0 joins none.
    package var largestSegment: Int
    /// The socket's class of service, in the upper six bits: a mark of congestion would replace it.
    package var trafficClass: UInt8 = 0

    let messages: UnsafeMutablePointer<cl_datagram>
    let scratch: OpaquePointer
    private let memory: UnsafeMutableRawPointer

    /// UDP_MAX_SEGMENTS of every kernel that has UDP_SEGMENT.
    package static var mostSegments: Int { 64 }
    /// What an IPv4 packet takes: 65,535 less the headers.
    package static var mostBytes: Int { 65_507 }

    package init(capacity: Int, byteCapacity: Int, usesSegments: Bool) {
        precondition(capacity > 0 && byteCapacity >= OutgoingDatagrams.mostBytes, "\(byteCapacity) bytes")
        self.capacity = capacity
        self.byteCapacity = byteCapacity
        largestSegment = usesSegments ? OutgoingDatagrams.mostBytes : 0
        unsafe memory = .allocate(byteCount: byteCapacity, alignment: 64)
        // One more: where the next one is prepared.
        unsafe messages = .allocate(capacity: capacity + 1)
        unsafe messages.initialize(repeating: cl_datagram(), count: capacity + 1)
        unsafe scratch = cl_datagram_scratch_make(CInt(capacity))
    }

    deinit {
        unsafe cl_datagram_scratch_free(scratch)
        unsafe messages.deallocate()
        unsafe memory.deallocate()
    }

    /// Whom datagrams go to, and which way.
    package enum Target {
        /// A peer; `.none` for the one that the socket is connected to.
        case peer(DatagramPeer, DatagramPath)
        /// Back to where one that came is from, from the address that it came to.
        case answer(to: Int)
    }

    /// Adds a datagram, at most `mostBytes` long.
    ///
    /// - Returns: False when there is no room: what waits has to be sent first.
    @inline(__always)
    package mutating func append(
        _ bytes: Span<UInt8>,
        to target: Target,
        of incoming: borrowing IncomingDatagrams
    ) -> Bool {
        precondition(bytes.count <= OutgoingDatagrams.mostBytes, "\(bytes.count) bytes")
        guard byteCount + bytes.count <= byteCapacity else { return false }
        let message = unsafe begin(target, incoming)
        if isOpen, unsafe joins(message, bytes.count) {
            copy(bytes)
            join(bytes.count)
            return true
        }
        guard count < capacity else { return false }
        unsafe commit(message, bytes, segmentBytes: 0)
        datagramCount += 1
        segmentsInLast = 1
        isOpen = !bytes.isEmpty && bytes.count <= largestSegment
        return true
    }

    /// True when so many of that size can leave as one message.
    package func joins(_ segments: Int, of segmentBytes: Int) -> Bool {
        segments <= OutgoingDatagrams.mostSegments && segmentBytes <= largestSegment
    }

    /// Adds several datagrams that leave as one message, of `segmentBytes` each but the last, where `joins` says that
    /// they can; as `append` otherwise.
    package mutating func append(
        run: Span<UInt8>,
        each segmentBytes: Int,
        to target: Target,
        of incoming: borrowing IncomingDatagrams
    ) -> Bool {
        let segments = segmentCount(run.count, each: segmentBytes)
        precondition(segments > 1 && joins(segments, of: segmentBytes) && run.count <= OutgoingDatagrams.mostBytes)
        guard count < capacity, byteCount + run.count <= byteCapacity else { return false }
        unsafe commit(begin(target, incoming), run, segmentBytes: segmentBytes)
        datagramCount += segments
        isOpen = false
        return true
    }

    /// The place behind the last message, with the target in it.
    @inline(__always)
    @unsafe private func begin(_ target: Target, _ incoming: borrowing IncomingDatagrams) -> UnsafeMutablePointer<
        cl_datagram
    > {
        let message = unsafe messages + count
        switch target {
        case .answer(let index): unsafe cl_answer(message, incoming.pointer(to: index))
        case .peer(let peer, let path):
            unsafe message.pointee.peer = peer.raw
            unsafe path.put(into: message)
            if path.ecn != .notCapable { unsafe message.pointee.traffic_class |= trafficClass }
        }
        return unsafe message
    }

    @inline(__always)
    @unsafe private mutating func commit(
        _ message: UnsafeMutablePointer<cl_datagram>,
        _ bytes: Span<UInt8>,
        segmentBytes: Int
    ) {
        unsafe message.pointee.bytes = memory + byteCount
        unsafe message.pointee.count = UInt32(bytes.count)
        unsafe message.pointee.segment = UInt16(segmentBytes)
        copy(bytes)
        count += 1
    }

    @inline(__always)
    @unsafe private func joins(_ message: UnsafeMutablePointer<cl_datagram>, _ length: Int) -> Bool {
        let last = unsafe messages + count - 1
        guard unsafe cl_same_path(last, message) != 0 else { return false }
        let segment = unsafe last.pointee.segment > 0 ? Int(last.pointee.segment) : Int(last.pointee.count)
        return unsafe length > 0 && length <= segment && segmentsInLast < OutgoingDatagrams.mostSegments
            && Int(last.pointee.count) + length <= OutgoingDatagrams.mostBytes
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
        let message = unsafe pointer(to: index)
        return unsafe segmentCount(Int(message.pointee.count), each: Int(message.pointee.segment))
    }

    /// Its bytes, or those of all of its segments.
    package func byteCount(ofMessage index: Int) -> Int { unsafe Int(pointer(to: index).pointee.count) }

    /// Of several that leave as one, the bytes of each but the last; 0 when it is one.
    package func segmentBytes(ofMessage index: Int) -> Int { unsafe Int(pointer(to: index).pointee.segment) }

    /// Shows a message to a driver without a kernel.
    package func withMessage<Result>(
        _ index: Int,
        _ body: (Span<UInt8>, DatagramPeer, DatagramPath) -> Result
    ) -> Result {
        let message = unsafe pointer(to: index)
        let bytes = unsafe UnsafeBufferPointer(
            start: message.pointee.bytes.assumingMemoryBound(to: UInt8.self),
            count: Int(message.pointee.count)
        )
        return unsafe body(bytes.span, DatagramPeer(message.pointee.peer), DatagramPath(message))
    }

    private func pointer(to index: Int) -> UnsafeMutablePointer<cl_datagram> {
        precondition(index >= 0 && index < count, "message \(index) of \(count)")
        return unsafe messages + index
    }

    package mutating func removeAll() {
        (count, datagramCount, byteCount, isOpen) = (0, 0, 0, false)
    }
}

/// How many datagrams so many bytes are, each of a size but for the last, which may be shorter; one when the size is 0.
package func segmentCount(_ byteCount: Int, each segmentBytes: Int) -> Int {
    segmentBytes > 0 ? max((byteCount + segmentBytes - 1) / segmentBytes, 1) : 1
}

extension DatagramPeer {
    init(_ raw: cl_peer) { self.init(words: raw.words) }
    var raw: cl_peer { cl_peer(words: words) }
}

extension DatagramPath {
    @unsafe init(_ datagram: UnsafePointer<cl_datagram>) {
        self.init()
        local = unsafe datagram.pointee.local
        localFamily = unsafe datagram.pointee.local_family
        interface = unsafe datagram.pointee.interface
        isToMany = unsafe datagram.pointee.to_many != 0
        ecn = unsafe CongestionMark(rawValue: datagram.pointee.traffic_class & 3) ?? .notCapable
    }

    @unsafe func put(into datagram: UnsafeMutablePointer<cl_datagram>) {
        unsafe datagram.pointee.local = local
        unsafe datagram.pointee.local_family = localFamily
        unsafe datagram.pointee.interface = interface
        unsafe datagram.pointee.to_many = isToMany ? 1 : 0
        unsafe datagram.pointee.traffic_class = ecn.rawValue
    }
}
