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
        beginShare()
        let share = reactor.configuration.fileBudgetBytes - fileBytes
        guard share > 0 else {
            if !state.flags.contains(.onFlushList) { reactor.counters.add(.fileBudgetExhausted) }
            reactor.settleInNextTurn(self)
            return nil
        }
        guard let ready = file.readyCount > 0 ? file.readyCount : prepare(file.region) else { return nil }
        switch reactor.driver.send(file.region, count: min(ready, share, limit), passing: descriptors, to: handle) {
        case .sent(let outcome, let offered):
            let taken = account(outcome, offered: offered)
            fileBytes += taken ?? 0
            return taken
        case .unreadable(let error):
            reactor.counters.add(.sends)
            reactor.write(.error, "\(error)", about: self)
            reactor.end(self, .failed(error), reset: true)
            return nil
        }
    }

    /// Finds the next piece of the file that is next in memory.
    ///
    /// - Returns: Its bytes; nil when it is being read.
    private func prepare(_ region: FileRegion) -> Int? {
        let count = min(region.count, reactor.configuration.fileBudgetBytes)
        let (source, bytes) = (region.file, region.offset..<region.offset + count)
        guard let pool = reactor.blockingPool, !source.isInMemory(bytes, now: reactor.now) else {
            queue.nextFile?.readyCount = count
            return count
        }
        state.flags.insert(.fileLoading)
        reactor.counters.add(.fileLoads)
        pool.deferToThread(
            { source.load(bytes) },
            completion: { [self] result in
                if case .success = result { source.noteInMemory(bytes, now: reactor.now) }
                fileIsLoaded(count)
            }
        )
        return nil
    }

    /// Or the pool has refused: it is sent all the same, and at worst waits for the disk itself.
    private func fileIsLoaded(_ count: Int) {
        state.flags.remove(.fileLoading)
        guard state.isLive else { return }
        queue.nextFile?.readyCount = count
        // The peer was not to blame.
        waitingSince = reactor.now.nanoseconds
        lastActivity = waitingSince
        sendQueue()
        reactor.settle(self)
        if state.isLive { reactor.armTimer(of: self) }
    }
}
