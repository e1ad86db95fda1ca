// SPDX-License-Identifier: Apache-2.0

internal import SpindleCore
internal import SpindleReactor

/// Everything that a simulated network knows: sockets, descriptors, ready lists, parcels and the time.
///
/// A value with `mutating` methods and no callbacks, behind the lock of its `SimulatedNetwork`. What is random is
/// drawn from one stream, in the order of calls, so equal calls on equal seeds give equal runs.
struct NetworkState: Sendable {
    enum Descriptor: Sendable {
        case socket(SocketID)
        case listener(SocketID)
        case datagrams(SocketID)
    }

    /// The first descriptor, as if standard input, output and error were open.
    static let firstDescriptor: Int32 = 3

    var configuration: SimulatedNetwork.Configuration
    var random: SeededRandom
    var faults = FaultPlan.none
    /// Nanoseconds.
    var now: UInt64 = 1_000_000_000_000
    /// What each reading of the clock adds.
    var clockStep: UInt64 = 0

    var sockets: [SimulatedSocket?] = []
    /// Of those where some were set: kept, and without effect.
    var options: [SocketID: [SocketOptionName: Int32]] = [:]
    private var freeSlots: [Int] = []
    private var nextSerial: UInt64 = 1
    var listeners: [SimulatedListener] = []
    var datagramSockets: [SimulatedDatagramSocket] = []
    var descriptors: [Descriptor?] = []
    private var firstFree = 0
    var openDescriptorCount = 0
    var descriptorLimit: Int?
    var readyLists: [ReadyList] = []
    var deliveries = DeliveryQueue()
    var watchErrors: [Errno] = []
    /// What the next sends fail with.
    var sendErrors: [Errno] = []
    var nextPort: UInt16 = 32768
    var programs: [SocketAddress: SteeringProgram] = [:]

    init(seed: UInt64, configuration: SimulatedNetwork.Configuration) {
        self.configuration = configuration
        random = SeededRandom(seed: seed)
    }

    // MARK: Sockets

    /// Adds a socket; `make` gets its name.
    mutating func addSocket(local: SocketAddress, peer: SocketAddress) -> SocketID {
        let slot = freeSlots.popLast() ?? sockets.count
        if slot == sockets.count { sockets.append(nil) }
        let id = SocketID(slot: slot, serial: takeSerial())
        sockets[slot] = SimulatedSocket(
            id: id,
            localAddress: local,
            peerAddress: peer,
            partner: nil,
            receiveCapacity: configuration.receiveBufferBytes,
            sendCapacity: configuration.sendBufferBytes
        )
        return id
    }

    mutating func takeSerial() -> UInt64 {
        defer { nextSerial += 1 }
        return nextSerial
    }

    /// True while the socket exists; its slot may have another tenant by now.
    func exists(_ id: SocketID) -> Bool { sockets[id.slot]?.id == id }

    /// The socket, which must exist.
    subscript(id: SocketID) -> SimulatedSocket {
        _read {
            precondition(exists(id), "\(id) is gone")
            yield sockets[id.slot]!
        }
        _modify {
            precondition(exists(id), "\(id) is gone")
            yield &sockets[id.slot]!
        }
    }

    /// Forgets the socket; its other end is on its own from now on.
    mutating func remove(_ id: SocketID) {
        if let partner = self[id].partner, exists(partner) { self[partner].partner = nil }
        sockets[id.slot] = nil
        if !options.isEmpty { options[id] = nil }
        freeSlots.append(id.slot)
    }

    var socketCount: Int { sockets.count - freeSlots.count + datagramSockets.count }

    // MARK: Descriptors

    /// The lowest free number, as open(2) promises; that is what makes stale events likely.
    mutating func addDescriptor(_ target: Descriptor) throws(Errno) -> SocketHandle {
        if let descriptorLimit, openDescriptorCount >= descriptorLimit { throw .tooManyFiles }
        while firstFree < descriptors.count, descriptors[firstFree] != nil { firstFree += 1 }
        if firstFree == descriptors.count { descriptors.append(nil) }
        descriptors[firstFree] = target
        openDescriptorCount += 1
        return SocketHandle(rawValue: Int32(firstFree) + NetworkState.firstDescriptor)
    }

    func target(of handle: SocketHandle) -> Descriptor {
        let index = Int(handle.rawValue - NetworkState.firstDescriptor)
        guard descriptors.indices.contains(index), let target = descriptors[index] else {
            preconditionFailure("bad descriptor \(handle.rawValue): it is not open")
        }
        return target
    }

    mutating func removeDescriptor(_ handle: SocketHandle) -> Descriptor {
        let target = target(of: handle)
        let index = Int(handle.rawValue - NetworkState.firstDescriptor)
        descriptors[index] = nil
        firstFree = min(firstFree, index)
        openDescriptorCount -= 1
        return target
    }

    func socket(_ handle: SocketHandle) -> SocketID {
        guard case .socket(let id) = target(of: handle) else {
            preconditionFailure("descriptor \(handle.rawValue) is no connection")
        }
        return id
    }

    /// What the options of a connection, or of a UDP socket, are kept by.
    func optionsKey(of handle: SocketHandle) -> SocketID {
        if case .datagrams(let id) = target(of: handle) { id } else { socket(handle) }
    }

    func listenerIndex(_ handle: SocketHandle) -> Int {
        guard case .listener(let id) = target(of: handle), let index = listeners.firstIndex(where: { $0.id == id })
        else { preconditionFailure("descriptor \(handle.rawValue) is no listener") }
        return index
    }

    // MARK: Time

    mutating func readClock() -> UInt64 {
        now += clockStep
        return now
    }

    /// Lets time pass up to `time`; what arrives by then arrives, each parcel at its time.
    mutating func advance(to time: UInt64) {
        while let (due, parcel) = deliveries.popFirst(dueBy: time) {
            now = max(now, due)
            deliver(parcel)
        }
        now = max(now, time)
    }

    /// Sends a parcel on its way from `sender`, whose earlier ones it does not overtake; without delays it arrives.
    mutating func dispatch(_ parcel: DeliveryQueue.Parcel, from sender: SocketID) {
        guard faults.delays.upperBound > .zero || self[sender].lastDue > now else { return deliver(parcel) }
        let shortest = Int(faults.delays.lowerBound.clampedNanoseconds)
        let longest = Int(faults.delays.upperBound.clampedNanoseconds)
        let delay = UInt64(shortest + random.below(longest - shortest + 1))
        let due = max(now + delay, self[sender].lastDue)
        self[sender].lastDue = due
        deliveries.add(parcel, due: due)
    }

    private mutating func deliver(_ parcel: DeliveryQueue.Parcel) {
        switch parcel {
        case .bytes(let sender, let count):
            guard exists(sender) else { return }
            self[sender].crossableByteCount += count
            transfer(from: sender)
        case .end(let sender):
            guard exists(sender) else { return }
            self[sender].endMayCross = true
            transfer(from: sender)
        case .reset(let receiver): if exists(receiver) { receiveReset(receiver) }
        case .established(let client): if exists(client) { establish(client) }
        case .datagram(let datagram): deliver(datagram)
        }
    }
}
