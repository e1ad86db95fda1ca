// SPDX-License-Identifier: Apache-2.0

internal import SpindleCore

/// Files that are sent: the kernel moves their bytes, and a reactor never waits for a disk.
extension Connection {
    func write(_ file: FileRegion) {
        reactor.preconditionCurrent()
        guard !file.isEmpty else { return }
        guard state.acceptsWrites else { return reactor.counters.add(.droppedWrites) }
        // To copy a few bytes costs less than a call for them alone.
        if reactor.corked == token, state.isPlain,
            unsafe reactor.cork.append(count: file.count, { unsafe file.readNow(into: $0) })
        {
            return
        }
        moveCorkToQueue()
        queue.append(file)
        queued()
    }

    /// Offers bytes of the file that is next, so many at most, and descriptors that have to go with them.
    ///
    /// - Returns: The bytes taken; nil when nothing can be sent now, or ever.
    @inline(never)
    func offer(_ file: WriteQueue.WaitingFile, upTo limit: Int, passing descriptors: [PassedDescriptor]) -> Int? {
        guard let ready = file.readyCount > 0 ? file.readyCount : prepare(file) else { return nil }
        let count = min(ready, limit)
        switch reactor.driver.send(file.region, count: count, passing: descriptors, to: handle) {
        case .sent(let outcome, let offered): return account(outcome, offered: offered)
        case .unreadable(let error):
            reactor.counters.add(.sends)
            reactor.write(.error, "\(error)", about: self)
            reactor.end(self, .failed(error), reset: true)
            return nil
        }
    }

    /// Notes the file's next piece as ready.
    ///
    /// - Returns: Its bytes; nil when it is not in memory and is being read.
    private func prepare(_ file: WriteQueue.WaitingFile) -> Int? {
        var file = file
        let count = min(file.region.count, reactor.configuration.fileBudgetBytes)
        file.readyCount = count
        queue.nextFile = file
        guard let pool = reactor.blockingPool, !isInMemory(file.region, count) else { return count }
        state.flags.insert(.fileLoading)
        reactor.counters.add(.fileLoads)
        let (source, bytes) = (file.region.file, file.region.offset..<file.region.offset + count)
        // Refused or done: it is sent then, and at worst waits for the disk itself.
        pool.deferToThread({ source.load(bytes) }, completion: { [self] _ in fileIsLoaded() })
        return nil
    }

    private func isInMemory(_ region: FileRegion, _ count: Int) -> Bool {
        region.file.isInMemory(region.offset..<region.offset + count, now: reactor.now)
    }

    private func fileIsLoaded() {
        state.flags.remove(.fileLoading)
        guard state.isLive else { return }
        // The peer was not to blame.
        if state.phase == .open { waitingSince = reactor.now.nanoseconds }
        sendQueue()
        reactor.settle(self)
    }
}
