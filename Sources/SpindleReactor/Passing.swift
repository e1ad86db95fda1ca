// SPDX-License-Identifier: Apache-2.0

internal import SpindleCore
internal import SpindleSystem

/// Descriptors on their way over a Unix socket: those to be sent, and those that came.
struct Passing: Sendable {
    private struct Departing {
        /// Bytes between those before and these.
        var bytesBefore: Int
        let descriptors: [PassedDescriptor]
    }

    private var departing: [Departing] = []
    /// How many may have come and not been taken.
    var limit = 0
    /// They have come and were not taken.
    var arrived: [PassedDescriptor] = []

    var isEmpty: Bool { departing.isEmpty && limit == 0 && arrived.isEmpty }

    /// So many may come with the next bytes.
    var room: Int { min(max(limit - arrived.count, 0), StreamSocket.mostPassed) }

    /// So many may wait to be sent.
    static var mostWaiting: Int { 1024 }

    var isDeparting: Bool { !departing.isEmpty }

    /// Has descriptors go with the byte behind the `unsent` ones that wait.
    ///
    /// - Throws: `.tooMany` of one byte, or in all.
    mutating func depart(_ descriptors: [PassedDescriptor], behind unsent: Int) throws(PassingError) {
        let (waiting, before) = departing.reduce((0, 0)) { ($0.0 + $1.descriptors.count, $0.1 + $1.bytesBefore) }
        guard waiting + descriptors.count <= Passing.mostWaiting else { throw .tooMany(limit: Passing.mostWaiting) }
        guard let last = departing.last, before == unsent else {
            departing.append(Departing(bytesBefore: unsent - before, descriptors: descriptors))
            return
        }
        let together = last.descriptors + descriptors
        guard together.count <= StreamSocket.mostPassed else { throw .tooMany(limit: StreamSocket.mostPassed) }
        departing[departing.count - 1] = Departing(bytesBefore: last.bytesBefore, descriptors: together)
    }

    /// What has to go with the next byte.
    var next: [PassedDescriptor] {
        guard let first = departing.first, first.bytesBefore == 0 else { return [] }
        return first.descriptors
    }

    /// How many bytes may go before something else has to go with them.
    var bytesToNext: Int {
        guard let first = departing.first else { return .max }
        guard first.bytesBefore == 0 else { return first.bytesBefore }
        return departing.count > 1 ? departing[1].bytesBefore : .max
    }

    /// So many bytes have gone, at most `bytesToNext`, with what had to go with them.
    mutating func sent(_ count: Int) {
        guard count > 0, !departing.isEmpty else { return }
        if departing[0].bytesBefore == 0 { departing.removeFirst() }
        if !departing.isEmpty { departing[0].bytesBefore -= count }
    }

    mutating func dropDeparting() { departing = [] }
}

extension Connection {
    func pass(_ descriptors: [Int32]) throws(PassingError) {
        reactor.preconditionCurrent()
        guard peerAddress.isUnix else { throw .notUnix }
        guard descriptors.count <= StreamSocket.mostPassed else { throw .tooMany(limit: StreamSocket.mostPassed) }
        var owned: [PassedDescriptor] = []
        for descriptor in descriptors { owned.append(try reactor.driver.duplicate(descriptor: descriptor)) }
        guard state.acceptsWrites, !owned.isEmpty else { return }
        moveCorkToQueue()
        try makeExtras().passing.depart(owned, behind: queue.unsentByteCount)
        updateOutputQueued()
    }

    var passedDescriptorLimit: Int {
        get { extras?.passing.limit ?? 0 }
        set {
            reactor.preconditionCurrent()
            precondition(newValue >= 0, "a limit of \(newValue) descriptors")
            guard state.flags.contains(.mayBePassed), newValue > 0 || extras != nil else { return }
            makeExtras().passing.limit = newValue
        }
    }

    func takePassedDescriptors() -> [PassedDescriptor] {
        reactor.preconditionCurrent()
        guard let extras else { return [] }
        defer { extras.passing.arrived = [] }
        return extras.passing.arrived
    }
}

extension Reactor {
    /// Lends bytes that came in, at most `limit`.
    @inline(__always)
    func receive(from connection: Connection, limit: Int) -> ReceiveOutcome {
        connection.state.flags.contains(.mayBePassed)
            ? receivePassed(from: connection, limit: limit)
            : driver.receive(from: connection.handle, limit: limit)
    }

    @inline(never)
    private func receivePassed(from connection: Connection, limit: Int) -> ReceiveOutcome {
        // Of a connection that ends, the kernel closes them.
        let extras = connection.state.phase == .open ? connection.extras : nil
        var passed = PassedDescriptors(room: extras?.passing.room ?? 0)
        let outcome = driver.receive(from: connection.handle, limit: limit, passed: &passed)
        guard let extras, extras.passing.limit > 0, passed.haveCome else { return outcome }
        extras.passing.arrived += passed.descriptors
        guard passed.areIncomplete else { return outcome }
        // Whoever asked for them is not told half of it.
        end(connection, .failed(PassingError.lost(limit: extras.passing.limit)), reset: true)
        return .wouldBlock
    }
}
