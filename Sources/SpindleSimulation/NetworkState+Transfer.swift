// SPDX-License-Identifier: Apache-2.0

internal import SpindleCore
internal import SpindleReactor

extension NetworkState {
    /// send(2): takes what there is room for.
    mutating func send(_ bytes: [UInt8], from id: SocketID) -> SendOutcome {
        if let failure = takeSendError(of: id) { return failure }
        if !sendErrors.isEmpty { return .failed(sendErrors.removeFirst()) }
        if random.chance(faults.resets) {
            breakLink(of: id)
            return takeSendError(of: id) ?? .wouldBlock
        }
        if random.chance(faults.fullWrites) {
            self[id].wantsRoom = true
            noteChange(id)
            return .wouldBlock
        }
        var length = min(self[id].room, bytes.count)
        let isCut = length > 1 && random.chance(faults.partialWrites)
        if isCut { length = 1 + random.below(length - 1) }
        if length < bytes.count { self[id].wantsRoom = true }
        guard length > 0 else { return .wouldBlock }
        self[id].unsent.append(bytes[..<length])
        dispatch(.bytes(from: id, count: length), from: id)
        // The room that the fault hid is announced as if it had been made just now.
        if isCut, exists(id) { noteChange(id) }
        return .sent(length)
    }

    /// What send(2) says about a connection that can't send: a waiting error is reported once, then EPIPE.
    private mutating func takeSendError(of id: SocketID) -> SendOutcome? {
        if let error = self[id].error {
            self[id].error = nil
            return .failed(error)
        }
        if self[id].isBroken || self[id].outputEnded { return .failed(.brokenPipe) }
        return self[id].isConnecting ? .wouldBlock : nil
    }

    /// What recv(2) returned.
    enum Received {
        case bytes(ArraySlice<UInt8>)
        case wouldBlock
        case end
        case failed(Errno)
    }

    /// recv(2) of at most `room` bytes, which is at least 1. What came before a reset can be read after it.
    mutating func receive(upTo room: Int, from id: SocketID) -> Received {
        if random.chance(faults.resets) { breakLink(of: id) }
        guard !self[id].received.isEmpty else { return receiveNothing(from: id) }
        if random.chance(faults.emptyReads) {
            noteChange(id)
            return .wouldBlock
        }
        var limit = min(room, self[id].received.count)
        let isCut = limit > 1 && random.chance(faults.partialReads)
        if isCut { limit = 1 + random.below(limit - 1) }
        let bytes = self[id].received.take(upTo: limit)
        // The bytes that the fault held back are announced as if they had arrived just now.
        if isCut { noteChange(id) }
        windowOpened(at: id)
        return .bytes(bytes)
    }

    private mutating func receiveNothing(from id: SocketID) -> Received {
        if let error = self[id].error {
            self[id].error = nil
            return .failed(error)
        }
        return self[id].inputEnded || self[id].isBroken ? .end : .wouldBlock
    }

    /// The socket's reader took bytes, or its window was changed: more may cross.
    mutating func windowOpened(at id: SocketID) {
        if let partner = self[id].partner, exists(partner) { transfer(from: partner) }
    }

    /// Moves what may cross into the other end's window, and the end of output behind it.
    mutating func transfer(from id: SocketID) {
        guard let partner = self[id].partner, exists(partner), !self[partner].isConnecting else { return }
        let (crossable, window) = (self[id].crossableByteCount, self[partner].receiveCapacity)
        let length = min(crossable, max(0, window - self[partner].received.count))
        if length > 0 {
            let bytes = self[id].unsent.take(upTo: length)
            self[id].crossableByteCount -= length
            // Bytes for a socket that was closed are answered with a reset. RFC 1122 §4.2.2.13.
            guard !self[partner].isOrphan else { return refuseBytes(of: id, by: partner) }
            self[partner].received.append(bytes)
            noteChange(partner)
            if self[id].wantsRoom, self[id].isWritable {
                self[id].wantsRoom = false
                noteChange(id)
            }
        }
        if self[id].endMayCross, !self[id].endCrossed, self[id].unsent.isEmpty {
            self[id].endCrossed = true
            self[partner].inputEnded = true
            noteChange(partner)
            forgetIfOver(id)
            if exists(partner) { forgetIfOver(partner) }
        }
    }

    private mutating func refuseBytes(of id: SocketID, by partner: SocketID) {
        let sender = partner
        self[sender].unsent.removeAll()
        dispatch(.reset(to: id), from: sender)
        if exists(sender) { remove(sender) }
    }
}
