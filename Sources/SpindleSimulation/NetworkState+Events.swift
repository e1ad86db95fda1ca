// SPDX-License-Identifier: Apache-2.0

internal import SpindleCore
internal import SpindleReactor

/// The registrations of one driver that changed, in the order of their first change: epoll's ready list.
struct ReadyList: Sendable {
    enum Entry: Sendable {
        case socket(SocketID)
        case listener(SocketID)
        case datagrams(SocketID)
        /// An event that a test made up.
        case madeUp(DriverEvent)
    }

    private var entries: [Entry] = []
    private var first = 0

    var isEmpty: Bool { first == entries.count }

    mutating func append(_ entry: Entry) { entries.append(entry) }

    mutating func popFirst() -> Entry? {
        guard first < entries.count else { return nil }
        defer {
            first += 1
            if first == entries.count {
                entries.removeAll(keepingCapacity: true)
                first = 0
            }
        }
        return entries[first]
    }
}

extension NetworkState {
    mutating func addDriver() -> Int {
        readyLists.append(ReadyList())
        return readyLists.count - 1
    }

    // MARK: Registering

    /// epoll_ctl(2), EPOLL_CTL_ADD: what is ready already is reported by the next wait.
    mutating func watch(_ handle: SocketHandle, token: EventToken, driver: Int) throws(Errno) {
        if !watchErrors.isEmpty { throw watchErrors.removeFirst() }
        switch target(of: handle) {
        case .socket(let id):
            precondition(self[id].registration == nil, "descriptor \(handle.rawValue) is watched already: EEXIST")
            self[id].registration = Registration(driver: driver, token: token)
            if self[id].readiness.isEmpty == false { noteChange(id) }
        case .datagrams: preconditionFailure("descriptor \(handle.rawValue) is a UDP socket")
        case .listener:
            let index = listenerIndex(handle)
            precondition(listeners[index].registration == nil, "listener \(handle.rawValue) is watched already: EEXIST")
            listeners[index].registration = Registration(driver: driver, token: token)
            if !listeners[index].queue.isEmpty { noteListenerChange(index) }
        }
    }

    /// Something happened on the socket: if a driver watches it, the next wait reports what it then is.
    mutating func noteChange(_ id: SocketID) {
        guard let registration = self[id].registration, !registration.isQueued else { return }
        self[id].registration!.isQueued = true
        readyLists[registration.driver].append(.socket(id))
    }

    mutating func noteListenerChange(_ index: Int) {
        guard let registration = listeners[index].registration, !registration.isQueued else { return }
        listeners[index].registration!.isQueued = true
        readyLists[registration.driver].append(.listener(listeners[index].id))
    }

    // MARK: Waiting

    /// As many events of the driver as there is room for; the others stay on its list.
    mutating func takeEvents(of driver: Int, into events: inout EventBuffer) {
        // None behind others that wait: a driver with little room would never come to an end.
        if faults.extraEvents > 0, readyLists[driver].isEmpty { addExtraEvents(of: driver) }
        while events.count < events.capacity, let entry = readyLists[driver].popFirst() {
            if let event = event(for: entry, driver: driver) { events.append(event) }
        }
    }

    /// Asked when the event is taken, not when the change happened: all bits that hold by now are in it.
    private mutating func event(for entry: ReadyList.Entry, driver: Int) -> DriverEvent? {
        switch entry {
        case .madeUp(let event): return event
        case .socket(let id):
            // Closed since: closing a descriptor takes it out of every ready list.
            guard exists(id), let registration = self[id].registration, registration.driver == driver else {
                return nil
            }
            self[id].registration!.isQueued = false
            // Who is told that there is no room is told of the next room. tcp_poll().
            if !self[id].isWritable { self[id].wantsRoom = true }
            let readiness = self[id].readiness
            return readiness.isEmpty ? nil : DriverEvent(token: registration.token, readiness: readiness)
        case .datagrams(let id):
            guard let index = datagramIndex(id), let registration = datagramSockets[index].registration else {
                return nil
            }
            datagramSockets[index].registration!.isQueued = false
            let readiness: Readiness = datagramSockets[index].error == nil ? [] : .error
            guard !datagramSockets[index].queue.isEmpty || readiness == .error else { return nil }
            return DriverEvent(token: registration.token, readiness: readiness.union(.readable))
        case .listener(let id):
            guard let index = listeners.firstIndex(where: { $0.id == id }),
                let registration = listeners[index].registration
            else { return nil }
            listeners[index].registration!.isQueued = false
            return listeners[index].queue.isEmpty
                ? nil : DriverEvent(token: registration.token, readiness: .readable)
        }
    }

    private mutating func addExtraEvents(of driver: Int) {
        for slot in sockets.indices {
            guard let socket = sockets[slot], socket.registration?.driver == driver else { continue }
            if random.chance(faults.extraEvents) { noteChange(socket.id) }
        }
    }
}
