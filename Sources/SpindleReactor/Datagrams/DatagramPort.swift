// SPDX-License-Identifier: Apache-2.0

internal import SpindleCore
internal import SpindleSystem

/// One UDP socket of one reactor.
final class DatagramPort: DatagramTransport {
    let reactor: Reactor
    let driver: any DatagramDriver
    let handle: SocketHandle
    let token: EventToken
    let options: DatagramOptions
    /// Names its listener in every reactor of the engine; nil for a socket of this side.
    let listenerID: Int?
    let localAddress: SocketAddress
    let peerAddress: SocketAddress?
    let isIPv6: Bool

    /// Whom it serves, from `startProtocol` to `stopProtocol`.
    var proto: (any DatagramProtocol)?
    /// The same, when it takes runs.
    var runProtocol: (any DatagramRunProtocol)?
    private(set) var isOpen = true
    /// `startProtocol` has been called.
    var hasStarted = false
    var isReading = true
    var isOnReadyList = false
    /// A refusal came, of which its protocol has not been told.
    var wasRefused = false
    /// DSCP, in the upper six bits.
    private(set) var trafficClass: UInt8 = 0
    /// Until when longer datagrams than `largestSegment` are not tried as segments; nil when all are.
    var segmentsRestUntil: MonotonicInstant?
    /// What its drops were when they were counted last.
    var dropCount: UInt32 = 0
    /// Bytes of the longest message of the last batch: so many are asked for next as the budget has room for.
    var expectedBytes = 1
    /// Longer datagrams are not joined; 0 joins none.
    var largestSegment: Int

    /// The datagram of the batch that can be answered now, and how many bytes the answers to it may still have.
    /// Unchecked: values that are only moved in and out.
    @exclusivity(unchecked) private var request: Int?
    @exclusivity(unchecked) private var replyRoom = 0

    init(
        on reactor: Reactor,
        _ driver: any DatagramDriver,
        _ handle: SocketHandle,
        token: EventToken,
        local: SocketAddress,
        peer: SocketAddress?,
        _ options: DatagramOptions,
        listenerID: Int?
    ) {
        self.reactor = reactor
        self.driver = driver
        self.handle = handle
        self.token = token
        self.options = options
        self.listenerID = listenerID
        localAddress = local
        peerAddress = peer
        isIPv6 = driver.isIPv6(handle)
        mostSegment = options.usesGroups ? OutgoingDatagrams.mostBytes : 0
        largestSegment = mostSegment
        for setting in options.settings where setting.name == .dscp { note(dscp: setting.rawValue) }
        guard options.isAdopted else { return }
        dropCount = driver.dropCount(of: handle) ?? 0
        if let dscp = try? reactor.driver.value(of: .dscp, on: handle) { note(dscp: dscp) }
    }

    var reactorIndex: Int { reactor.index }
    private let mostSegment: Int

    private func note(dscp: Int32) { trafficClass = UInt8(truncatingIfNeeded: dscp << 2) }

    /// Messages of segments of so many bytes do not get through; others are tried for a while.
    func restSegments(of byteCount: Int, until end: MonotonicInstant) {
        largestSegment = min(largestSegment, byteCount - 1)
        segmentsRestUntil = end
    }

    func tryAllSegments() { (largestSegment, segmentsRestUntil) = (mostSegment, nil) }

    // MARK: Answering

    func reply(_ bytes: Span<UInt8>) -> DatagramOutcome {
        guard let request = unsafe request else { return refuse(.noPeer) }
        guard unsafe bytes.count <= replyRoom else { return refuse(.overReplyLimit) }
        let outcome = queue(bytes, to: .answer(to: request))
        if outcome == .queued { unsafe replyRoom -= bytes.count }
        return outcome
    }

    func reply(_ run: Span<UInt8>, each segmentBytes: Int) -> DatagramOutcome {
        let count = segmentCount(run.count, each: segmentBytes)
        guard let request = unsafe request else { return refuse(.noPeer, count) }
        guard unsafe run.count <= replyRoom else { return refuse(.overReplyLimit, count) }
        let outcome = queue(run, each: segmentBytes, to: .answer(to: request))
        if outcome == .queued { unsafe replyRoom -= run.count }
        return outcome
    }

    /// `reply` answers this datagram of the batch from now on, which has so many bytes.
    @inline(__always)
    func answers(_ index: Int, from peer: DatagramPeer, byteCount: Int) {
        unsafe request = peer.hasPort ? index : nil
        unsafe replyRoom = options.replyRoom(for: byteCount)
    }

    /// `reply` answers nobody.
    func answersNobody() { unsafe request = nil }

    // MARK: Sending

    func send(_ bytes: Span<UInt8>, to peer: SocketAddress?, options: DatagramSendOptions) -> DatagramOutcome {
        switch target(peer) {
        case .success(let peer): queue(bytes, to: .peer(peer, DatagramPath(options)))
        case .failure(let drop): refuse(drop)
        }
    }

    func send(
        _ run: Span<UInt8>,
        each segmentBytes: Int,
        to peer: SocketAddress?,
        options: DatagramSendOptions
    ) -> DatagramOutcome {
        switch target(peer) {
        case .success(let peer): queue(run, each: segmentBytes, to: .peer(peer, DatagramPath(options)))
        case .failure(let drop): refuse(drop, segmentCount(run.count, each: segmentBytes))
        }
    }

    private enum Target {
        case success(DatagramPeer)
        case failure(DatagramDrop)
    }

    private func target(_ peer: SocketAddress?) -> Target {
        guard let peer else { return peerAddress == nil ? .failure(.noPeer) : .success(.none) }
        guard peer.port > 0 else { return .failure(.noPeer) }
        return DatagramPeer(peer, ofIPv6Socket: isIPv6).map { .success($0) } ?? .failure(.wrongFamily)
    }

    private func queue(_ bytes: Span<UInt8>, to target: OutgoingDatagrams.Target) -> DatagramOutcome {
        reactor.preconditionCurrent()
        guard isOpen else { return refuse(.closed) }
        guard bytes.count <= OutgoingDatagrams.mostBytes else { return refuse(.tooLong) }
        let room = reactor.roomToSend(from: self)
        if room.outgoing.append(bytes, to: target, of: room.incoming) { return .queued }
        makeRoom()
        precondition(room.outgoing.append(bytes, to: target, of: room.incoming), "no room for one datagram")
        return .queued
    }

    private func queue(
        _ run: Span<UInt8>,
        each segmentBytes: Int,
        to target: OutgoingDatagrams.Target
    ) -> DatagramOutcome {
        precondition(segmentBytes > 0, "datagrams of \(segmentBytes) bytes")
        guard run.count > segmentBytes else { return queue(run, to: target) }
        reactor.preconditionCurrent()
        guard isOpen else { return refuse(.closed, segmentCount(run.count, each: segmentBytes)) }
        guard run.count <= OutgoingDatagrams.mostBytes else {
            return refuse(.tooLong, segmentCount(run.count, each: segmentBytes))
        }
        let room = reactor.roomToSend(from: self)
        guard room.outgoing.joins(segmentCount(run.count, each: segmentBytes), of: segmentBytes) else {
            return queueApart(run, each: segmentBytes, to: target)
        }
        if room.outgoing.append(run: run, each: segmentBytes, to: target, of: room.incoming) { return .queued }
        makeRoom()
        precondition(room.outgoing.append(run: run, each: segmentBytes, to: target, of: room.incoming), "no room")
        return .queued
    }

    private func queueApart(
        _ run: Span<UInt8>,
        each segmentBytes: Int,
        to target: OutgoingDatagrams.Target
    ) -> DatagramOutcome {
        var rest = run
        while !rest.isEmpty {
            let outcome = queue(rest.extracting(first: min(segmentBytes, rest.count)), to: target)
            guard outcome == .queued else { return outcome }
            rest = rest.extracting(droppingFirst: min(segmentBytes, rest.count))
        }
        return .queued
    }

    private func makeRoom() {
        reactor.sendDatagrams()
        _ = reactor.roomToSend(from: self)
    }

    @inline(never)
    private func refuse(_ drop: DatagramDrop, _ count: Int = 1) -> DatagramOutcome {
        reactor.preconditionCurrent()
        reactor.counters.add(.datagramsRefused, count)
        return .dropped(drop)
    }

    // MARK: Control

    func pauseReading() {
        reactor.preconditionCurrent()
        isReading = false
    }

    func resumeReading() {
        reactor.preconditionCurrent()
        guard isOpen, !isReading else { return }
        isReading = true
        // What has come meanwhile had its edge.
        reactor.readLater(self)
    }

    func close() {
        reactor.preconditionCurrent()
        guard isOpen else { return }
        if reactor.datagramRoom?.owner === self { reactor.sendDatagrams() }
        isOpen = false
        reactor.closed(self)
    }

    /// Its protocol could not be made: what that was about to send goes nowhere.
    func abandon() {
        guard isOpen else { return }
        if reactor.datagramRoom?.owner === self { reactor.dropDatagrams() }
        isOpen = false
        reactor.closed(self)
    }

    /// Its protocol has been told of its end: they hold each other no longer.
    func forget() { (proto, runProtocol) = (nil, nil) }

    func join(_ group: SocketAddress, interface: UInt32) throws(Errno) {
        try checkOpen()
        try driver.setMember(true, of: group, interface: interface, on: handle)
    }

    func leave(_ group: SocketAddress, interface: UInt32) throws(Errno) {
        try checkOpen()
        try driver.setMember(false, of: group, interface: interface, on: handle)
    }

    func setMulticast(_ option: MulticastOption) throws(Errno) {
        try checkOpen()
        try driver.setMulticast(option, on: handle)
    }

    private func checkOpen() throws(Errno) {
        reactor.preconditionCurrent()
        guard isOpen else { throw .badDescriptor }
    }

    func apply(_ setting: SocketSetting) throws(SocketOptionError) {
        do throws(Errno) {
            try checkOpen()
            try reactor.driver.set(setting.name, setting.rawValue, on: handle)
            if setting.name == .dscp { note(dscp: setting.rawValue) }
        } catch { throw SocketOptionError(setting.name, error) }
    }

    func rawValue(of option: SocketOptionName) throws(SocketOptionError) -> Int32 {
        do throws(Errno) {
            try checkOpen()
            return try reactor.driver.value(of: option, on: handle)
        } catch { throw SocketOptionError(option, error) }
    }
}

extension DatagramPath {
    fileprivate init(_ options: DatagramSendOptions) {
        self = options.source.flatMap { DatagramPath(from: $0) } ?? DatagramPath()
        ecn = options.ecn
    }
}
