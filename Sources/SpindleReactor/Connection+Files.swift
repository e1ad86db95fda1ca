// SPDX-License-Identifier: Apache-2.0

internal import SpindleCore

/// Files that are sent: the kernel moves their bytes, and a reactor never waits for a disk.
extension Connection {
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
        guard let pool = reactor.blockingPool, !file.region.isInMemory(count) else { return count }
        state.flags.insert(.fileLoading)
        reactor.counters.add(.fileLoads)
        pool.deferToThread { [region = file.region] in region.load(count) } completion: { [self] _ in
            // Refused or done: it is sent now, and at worst waits for the disk itself.
            fileIsLoaded()
        }
        return nil
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
