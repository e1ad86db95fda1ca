// SPDX-License-Identifier: Apache-2.0

internal import SpindleCore
internal import SpindleSystem

/// Datagrams in, and out.
extension Reactor {
    // MARK: Receiving

    func datagramEvent(onPort index: Int, _ token: EventToken) {
        guard index < ports.count, let port = ports[index], port.token == token else {
            return counters.add(.staleEvents)
        }
        readDatagrams(of: port)
    }

    /// Hands datagrams to the protocol until there is none or the budget ends.
    func readDatagrams(of port: DatagramPort) {
        guard let room = datagramRoom else { return }
        tellStart(port)
        var budget = configuration.readBudgetBytes
        while port.isOpen, port.isReading {
            guard budget > 0 else {
                counters.add(.readBudgetExhausted)
                return readLater(port)
            }
            let limit = min(max(budget / port.expectedBytes, 1), configuration.datagramsPerReceive)
            switch receive(from: port, into: room, atMost: limit) {
            case .none: return
            case .failed: budget -= configuration.readBudgetBytes / 16
            case .came(let count):
                budget -= deliver(count, from: room, to: port)
                if room.owner != nil { sendDatagrams() }
                // Fewer than asked for: no more wait, and the next has an edge.
                if count < limit { return }
            }
        }
    }

    private enum Received {
        case none
        case failed
        case came(Int)
    }

    private func receive(from port: DatagramPort, into room: DatagramRoom, atMost limit: Int) -> Received {
        counters.add(.receives)
        room.incoming.dropCount = port.dropCount
        do throws(Errno) {
            let count = try port.driver.receive(from: port.handle, into: &room.incoming, atMost: limit)
            guard let count else { return .none }
            if room.incoming.dropCount != port.dropCount { countDrops(of: port, room.incoming.dropCount) }
            return .came(count)
        } catch {
            if !isRefusal(error, port) { warn(error, port) }
            return .failed
        }
    }

    func countDrops(of port: DatagramPort, _ count: UInt32) {
        // The kernel's number goes round at 2³².
        counters.add(.datagramsOverrun, Int(count &- port.dropCount))
        port.dropCount = count
    }

    /// - Returns: Their bytes, and one for each.
    private func deliver(_ count: Int, from room: DatagramRoom, to port: DatagramPort) -> Int {
        guard let proto = port.proto else { return 0 }
        var (bytes, datagrams) = (0, 0)
        port.expectedBytes = 1
        corked = port.token
        var last = SystemClock.ticks()
        for index in 0..<count {
            guard port.isOpen else {
                counters.add(.datagramsUntold, countSegments(index..<count, room))
                break
            }
            let (count, length) = deliver(index, from: room, to: port, proto)
            datagrams += count
            bytes += length
            port.expectedBytes = max(port.expectedBytes, length)
            let now = SystemClock.ticks()
            if now &- last > longestCallbackTicks { noteLongestCallback(now &- last, of: proto) }
            last = now
        }
        corked = .none
        port.answersNobody()
        counters.add(.bytesReceived, bytes)
        counters.add(.datagramsReceived, datagrams)
        counters.add(.messages, datagrams)
        return bytes + count
    }

    /// The datagrams of messages that came.
    private func countSegments(_ messages: Range<Int>, _ room: DatagramRoom) -> Int {
        messages.reduce(0) { sum, index in
            sum + segmentCount(room.incoming.byteCount(of: index), each: room.incoming.segmentBytes(of: index))
        }
    }

    /// - Returns: How many datagrams it was, and their bytes.
    @inline(__always)
    private func deliver(
        _ index: Int,
        from room: DatagramRoom,
        to port: DatagramPort,
        _ proto: any DatagramProtocol
    ) -> (count: Int, byteCount: Int) {
        room.incoming.withDatagram(index) { bytes, segment, origin in
            if origin.isTruncated { counters.add(.datagramsTruncated) }
            guard segment > 0 else {
                deliver(bytes, index, origin, to: port, proto)
                return (1, bytes.count)
            }
            guard let runProtocol = port.runProtocol else {
                return (deliverApart(bytes, each: segment, index, origin, to: port, proto), bytes.count)
            }
            port.answers(index, from: origin.source, byteCount: bytes.count)
            if let error = runProtocol._deliver(bytes, each: segment, from: origin) { report(error, port, origin) }
            return (segmentCount(bytes.count, each: segment), bytes.count)
        }
    }

    @inline(__always)
    private func deliver(
        _ bytes: Span<UInt8>,
        _ index: Int,
        _ origin: DatagramOrigin,
        to port: DatagramPort,
        _ proto: any DatagramProtocol
    ) {
        port.answers(index, from: origin.source, byteCount: bytes.count)
        if let error = proto._deliver(bytes, from: origin) { report(error, port, origin) }
    }

    private func deliverApart(
        _ run: Span<UInt8>,
        each segment: Int,
        _ index: Int,
        _ origin: DatagramOrigin,
        to port: DatagramPort,
        _ proto: any DatagramProtocol
    ) -> Int {
        var (rest, count) = (run, 0)
        while !rest.isEmpty, port.isOpen {
            let next = min(segment, rest.count)
            deliver(rest.extracting(first: next), index, origin, to: port, proto)
            rest = rest.extracting(droppingFirst: next)
            count += 1
        }
        if !rest.isEmpty { counters.add(.datagramsUntold, segmentCount(rest.count, each: segment)) }
        return count
    }

    /// Has the socket read from in the next turn.
    func readLater(_ port: DatagramPort) {
        guard !port.isOnReadyList, port.isOpen else { return }
        port.isOnReadyList = true
        readyPorts.append(port)
    }

    /// Reads from the first so many sockets that had datagrams left.
    func readDatagramsOn(_ count: Int) {
        let left = ContiguousArray(readyPorts[..<count])
        readyPorts.removeFirst(count)
        for port in left {
            port.isOnReadyList = false
            readDatagrams(of: port)
        }
    }

    // MARK: Sending

    /// Where the port's datagrams wait to leave: those of another leave first.
    @inline(__always)
    func roomToSend(from port: DatagramPort) -> DatagramRoom {
        guard let room = datagramRoom else { preconditionFailure("a socket, and no room") }
        if room.owner !== port {
            if room.owner != nil { sendDatagrams() }
            if let end = port.segmentsRestUntil, end <= now { port.tryAllSegments() }
            room.owner = port
            room.outgoing.largestSegment = port.largestSegment
            room.outgoing.trafficClass = port.trafficClass
        }
        return room
    }

    /// Sends what waits.
    func sendDatagrams() {
        guard let room = datagramRoom, let port = room.owner.take() else { return }
        var failure: Errno?
        send(room.outgoing, from: port, &failure)
        room.outgoing.removeAll()
        // Behind it: whoever takes the log may send, too.
        if let failure { warn(failure, port) }
    }

    /// What waits goes nowhere.
    func dropDatagrams() {
        guard let room = datagramRoom else { return }
        room.owner = nil
        counters.add(.datagramsUnsent, room.outgoing.datagramCount)
        room.outgoing.removeAll()
    }

    /// - Parameter failure: Gets the first.
    /// - Returns: How many messages the kernel took.
    @discardableResult
    private func send(
        _ batch: borrowing OutgoingDatagrams,
        from port: DatagramPort,
        _ failure: inout Errno?
    ) -> Int {
        var (first, taken) = (0, 0)
        var wasRefused = false
        while first < batch.count {
            counters.add(.sends)
            do throws(Errno) {
                guard let count = try port.driver.send(batch, from: first, over: port.handle) else {
                    // Full: there is no order to keep, and what is late is often worth nothing.
                    countUnsent(batch, from: first)
                    return taken
                }
                countSent(batch, first..<first + count)
                first += count
                taken += count
            } catch {
                // What the peer has refused was an earlier one: this one has not been tried.
                if isRefusal(error, port), !wasRefused {
                    wasRefused = true
                    continue
                }
                failure = failure ?? error
                if !sendApart(first, of: batch, from: port, after: error, &failure) {
                    counters.add(.datagramsUnsent, batch.datagramCount(ofMessage: first))
                }
                first += 1
            }
        }
        return taken
    }

    private func countSent(_ batch: borrowing OutgoingDatagrams, _ messages: Range<Int>) {
        if messages.count == batch.count {
            counters.add(.datagramsSent, batch.datagramCount)
            return counters.add(.bytesSent, batch.byteCount)
        }
        for index in messages {
            counters.add(.datagramsSent, batch.datagramCount(ofMessage: index))
            counters.add(.bytesSent, batch.byteCount(ofMessage: index))
        }
    }

    private func countUnsent(_ batch: borrowing OutgoingDatagrams, from first: Int) {
        for index in first..<batch.count {
            counters.add(.datagramsUnsent, batch.datagramCount(ofMessage: index))
        }
    }

    /// Sends the segments of a message one by one: they are longer than their path takes them, or the device does not
    /// do it. Later ones of that size are not joined for a while.
    ///
    /// - Returns: False when it has none.
    @inline(never)
    private func sendApart(
        _ index: Int,
        of batch: borrowing OutgoingDatagrams,
        from port: DatagramPort,
        after errno: Errno,
        _ failure: inout Errno?
    ) -> Bool {
        let segment = batch.segmentBytes(ofMessage: index)
        guard segment > 0, let room = datagramRoom,
            errno == .invalidArgument || errno == .inputOutput || errno == .messageTooLong
        else {
            return false
        }
        var apart = OutgoingDatagrams(
            capacity: OutgoingDatagrams.mostSegments,
            byteCapacity: OutgoingDatagrams.mostBytes,
            usesSegments: false
        )
        apart.trafficClass = port.trafficClass
        batch.withMessage(index) { bytes, peer, path in
            var rest = bytes
            while !rest.isEmpty {
                let next = rest.extracting(first: min(segment, rest.count))
                _ = apart.append(next, to: .peer(peer, path), of: room.incoming)
                rest = rest.extracting(droppingFirst: min(segment, rest.count))
            }
        }
        // Where they don't get through either, it was not their size.
        if send(apart, from: port, &failure) > 0 {
            failure = nil
            port.restSegments(of: segment, until: now.advanced(by: .seconds(10)))
        }
        return true
    }

    /// - Returns: True for the refusal of the peer that the socket is connected to.
    private func isRefusal(_ errno: Errno, _ port: DatagramPort) -> Bool {
        counters.add(errno)
        guard errno == .connectionRefused, port.peerAddress != nil else { return false }
        refused(port)
        return true
    }

    private func warn(_ errno: Errno, _ port: DatagramPort) {
        warnSeldom(.datagramTransfer, "datagrams of \(port.localAddress): \(errno)")
    }
}
