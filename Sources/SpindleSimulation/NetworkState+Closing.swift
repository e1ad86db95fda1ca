// SPDX-License-Identifier: Apache-2.0

internal import SpindleCore
internal import SpindleReactor

extension NetworkState {
    /// shutdown(2) of the writing side: FIN follows what is unsent.
    mutating func shutdownWrites(of id: SocketID) {
        guard !self[id].outputEnded, !self[id].isBroken, !self[id].isConnecting else { return }
        self[id].outputEnded = true
        // shutdown wakes whoever waits: the socket counts as writable from now on. inet_shutdown().
        noteChange(id)
        dispatch(.end(from: id), from: id)
    }

    /// Lets go of a socket: close(2) of its descriptor, or of a peer.
    ///
    /// Unread input turns a close into a reset, as does `reset` (SO_LINGER with time 0); unsent bytes are then lost.
    mutating func close(_ id: SocketID, reset: Bool) {
        self[id].registration = nil
        self[id].isOrphan = true
        guard !self[id].isBroken, let partner = self[id].partner else { return remove(id) }
        if reset || !self[id].received.isEmpty || self[id].isConnecting {
            self[id].unsent.removeAll()
            self[id].crossableByteCount = 0
            dispatch(.reset(to: partner), from: id)
            if exists(id) { remove(id) }
            return
        }
        // Nobody reads here any more: what still comes is answered with a reset.
        self[id].receiveCapacity = .max
        windowOpened(at: id)
        guard exists(id) else { return }
        if !self[id].outputEnded {
            self[id].outputEnded = true
            dispatch(.end(from: id), from: id)
        }
        if exists(id) { forgetIfOver(id) }
    }

    /// A reset arrived: what was received can still be read, then comes the error. tcp_reset() of Linux.
    mutating func receiveReset(_ id: SocketID) {
        guard !self[id].isBroken else { return }
        if self[id].isConnecting {
            self[id].error = .connectionRefused
        } else {
            self[id].error = self[id].inputEnded && !self[id].outputEnded ? .brokenPipe : .connectionReset
        }
        self[id].isConnecting = false
        self[id].isBroken = true
        self[id].unsent.removeAll()
        self[id].crossableByteCount = 0
        noteChange(id)
        if self[id].isOrphan { remove(id) }
    }

    /// The network between both ends breaks: each sees a reset.
    mutating func breakLink(of id: SocketID) {
        let partner = self[id].partner
        receiveReset(id)
        if let partner, exists(partner) { receiveReset(partner) }
    }

    /// Forgets a socket that nobody refers to once both directions are over.
    mutating func forgetIfOver(_ id: SocketID) {
        let socket = self[id]
        guard socket.isOrphan, socket.endCrossed || socket.isBroken else { return }
        // An end that will never send again, or is gone, leaves nothing to answer.
        if socket.inputEnded || socket.partner == nil { remove(id) }
    }

    /// close(2) of any descriptor.
    mutating func closeDescriptor(_ handle: SocketHandle, reset: Bool) {
        switch removeDescriptor(handle) {
        case .socket(let id): close(id, reset: reset)
        case .datagrams(let id): closeDatagrams(id)
        case .listener(let id):
            guard let index = listeners.firstIndex(where: { $0.id == id }) else { return }
            // In a group the kernel moves the last socket into the gap. reuseport_detach_sock().
            let group = listeners.indices.filter { listeners[$0].address == listeners[index].address }
            let listener = listeners[index]
            if let last = group.last, last != index {
                listeners[index] = listeners[last]
                listeners.remove(at: last)
            } else {
                listeners.remove(at: index)
            }
            // What waits for accept is reset: net.ipv4.tcp_migrate_req is off by default.
            for socket in listener.queue where exists(socket) { close(socket, reset: true) }
            for client in listener.waiting where exists(client) { receiveReset(client) }
        }
    }
}
