// SPDX-License-Identifier: Apache-2.0

internal import SpindleCore

extension Connection {
    func write(_ bytes: Span<UInt8>) {
        reactor.preconditionCurrent()
        guard !bytes.isEmpty else { return }
        if reactor.corked == token, state.isPlain, reactor.cork.append(bytes) { return }
        writeTheLongWay(bytes)
    }

    /// When something is special about the connection, another one's callback runs or none, or the cork is full.
    @inline(never)
    private func writeTheLongWay(_ bytes: Span<UInt8>) {
        guard state.acceptsWrites else { return reactor.counters.add(.droppedWrites) }
        guard queue.isEmpty, !state.flags.contains(.outputQueued) else { return enqueue(bytes) }
        if reactor.corked == token {
            if reactor.cork.append(bytes) { return }
        } else if bytes.count < reactor.configuration.corkBytes || state.flags.contains(.outputBlocked) {
            // Gathered until the flush.
            return enqueue(bytes)
        }
        sendUncopied(bytes)
    }

    func write(_ chunk: ByteChunk) {
        reactor.preconditionCurrent()
        guard !chunk.isEmpty else { return }
        guard state.acceptsWrites else { return reactor.counters.add(.droppedWrites) }
        if reactor.corked == token, queue.isEmpty, !state.flags.contains(.outputQueued),
            reactor.cork.append(chunk.bytes)
        {
            return
        }
        moveCorkToQueue()
        queue.append(chunk)
        reactor.counters.add(.bufferedBytes, chunk.count)
        queued()
    }

    /// Hands what is corked and a piece that is too large to be copied to the kernel in one call.
    private func sendUncopied(_ bytes: Span<UInt8>) {
        // Another connection's cork is none of this one's.
        let corked = reactor.corked == token ? reactor.cork.count : 0
        let outcome = unsafe bytes.withUnsafeBufferPointer { piece in
            let piece = UnsafeRawBufferPointer(piece)
            if corked == 0 { return unsafe reactor.driver.send(piece, to: handle) }
            reactor.pieces.removeAll()
            unsafe reactor.pieces.append(reactor.cork.bytes.baseAddress!, byteCount: corked)
            unsafe reactor.pieces.append(piece.baseAddress!, byteCount: piece.count)
            return reactor.driver.send(reactor.pieces, to: handle)
        }
        guard let taken = account(outcome, offered: corked + bytes.count) else { return }
        let fromCork = min(taken, corked)
        if fromCork < corked { enqueueCork(from: fromCork) }
        if corked > 0 { reactor.cork.removeAll() }
        let rest = bytes.extracting(droppingFirst: taken - fromCork)
        if !rest.isEmpty { enqueue(rest) }
    }

    /// Sends what a callback has written, when it has returned. One system call for an echo.
    @inline(__always)
    func sendCork() {
        // Chunks that did not fit in the cork went to the queue, behind what was corked.
        guard reactor.cork.count > 0 else { return sendQueue() }
        let offered = reactor.cork.count
        let outcome = unsafe reactor.driver.send(reactor.cork.bytes, to: handle)
        guard let taken = account(outcome, offered: offered) else { return }
        if taken < offered { enqueueCork(from: taken) }
        reactor.cork.removeAll()
    }

    /// Offers the queue to the kernel until it is empty or the socket is full.
    func sendQueue() {
        while !queue.isEmpty, state.flags.isDisjoint(with: [.outputBlocked, .fileLoading]), state.isLive {
            guard let taken = extras == nil ? offerQueue(upTo: .max) : offerLimited() else { return }
            let fromMemory = queue.removeFirst(taken)
            reactor.counters.add(.bufferedBytes, -fromMemory)
            // While draining, the close timeout counts from `loseConnection`, whatever trickles out meanwhile; but a
            // file may be longer than a peer can take in that time.
            if taken > 0, state.phase == .open || fromMemory == 0 { waitingSince = reactor.now.nanoseconds }
        }
    }

    /// Offers the first bytes of the queue, so many at most, and descriptors that have to go with them.
    ///
    /// - Returns: The bytes taken; nil when the connection broke, or a file can't be sent now.
    func offerQueue(upTo limit: Int, passing descriptors: [PassedDescriptor] = []) -> Int? {
        if let file = queue.nextFile { return offer(file, upTo: limit, passing: descriptors) }
        if descriptors.isEmpty, let chunk = queue.nextChunk(from: reactor.configuration.zeroCopyBytes),
            let outcome = sendInPlace(chunk, upTo: limit)
        {
            return account(outcome, offered: min(chunk.count, limit))
        }
        reactor.pieces.removeAll()
        queue.list(into: &reactor.pieces, atMost: limit, before: reactor.configuration.zeroCopyBytes)
        let offered = reactor.pieces.byteCount
        let outcome =
            descriptors.isEmpty
            ? reactor.driver.send(reactor.pieces, to: handle)
            : reactor.driver.send(reactor.pieces, passing: descriptors, to: handle)
        return account(outcome, offered: offered)
    }

    /// Counts a send and notes that the socket is full.
    ///
    /// - Returns: The bytes taken, or nil when the connection broke: what was offered is gone, too.
    @inline(__always)
    func account(_ outcome: SendOutcome, offered: Int) -> Int? {
        reactor.counters.add(.sends)
        switch outcome {
        case .sent(let count):
            reactor.counters.add(.bytesSent, count)
            lastActivity = reactor.now.nanoseconds
            if count < offered { state.flags.insert(.outputBlocked) }
            return count
        case .wouldBlock:
            state.flags.insert(.outputBlocked)
            return 0
        case .failed(let errno):
            sendFailed(errno)
            return nil
        }
    }

    /// Input that came before the break is still delivered, then the end is told with this error.
    @inline(never)
    private func sendFailed(_ errno: Errno) {
        // It may be another connection's, whose callback writes to this one.
        if reactor.corked == token { reactor.cork.removeAll() }
        guard state.willRead else { return reactor.end(self, brokenBy: errno) }
        if sendError == nil { sendError = errno }
        reactor.dropOutput(of: self)
        state.outputBroke()
        state.flags.insert([.inputWaits, .inputIsFinal])
        reactor.readLaterIfNeeded(self)
    }

    private func enqueueCork(from offset: Int) {
        let rest = unsafe UnsafeRawBufferPointer(rebasing: reactor.cork.bytes[offset...])
        unsafe enqueue(rest.bindMemory(to: UInt8.self).span)
    }

    /// What was written and not sent goes elsewhere: nothing is sent from here any more.
    func takeUnsent() -> WriteQueue {
        if reactor.corked == token, reactor.cork.count > 0 {
            unsafe queue.append(reactor.cork.bytes.bindMemory(to: UInt8.self).span, pool: reactor.pool)
            reactor.counters.add(.bufferedBytes, reactor.cork.count)
            reactor.cork.removeAll()
        }
        reactor.counters.add(.bufferedBytes, -queue.byteCount)
        return queue.takeAll()
    }

    func moveCorkToQueue() {
        guard reactor.corked == token, reactor.cork.count > 0 else { return }
        enqueueCork(from: 0)
        reactor.cork.removeAll()
    }

    func enqueue(_ bytes: Span<UInt8>) {
        queue.append(bytes, pool: reactor.pool)
        reactor.counters.add(.bufferedBytes, bytes.count)
        queued()
    }

    /// Something waits now: it is sent at flush at the latest, and earlier when a lot has gathered.
    func queued() {
        if !state.flags.contains(.outputWaited) {
            state.flags.insert(.outputWaited)
            waitingSince = reactor.now.nanoseconds
            reactor.armTimer(of: self)
        } else if state.phase == .draining {
            reactor.armTimer(of: self)
        }
        if queue.byteCount >= reactor.configuration.writeHighWatermarkBytes { sendQueue() }
        reactor.settleLater(self)
    }
}
