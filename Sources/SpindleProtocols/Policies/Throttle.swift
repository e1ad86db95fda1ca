// SPDX-License-Identifier: Apache-2.0

internal import SpindleCore

/// Rates of reading and writing, of each connection and of all together, on whichever reactors they are.
///
///     engine.listen(on: address, Throttle(write: .init(bytesPerSecond: 1 << 20)).guarding(build))
///
/// Who reads or writes more than its connection's share waits: bytes stay in the kernel, which slows the peer down, or
/// count as unsent. Connections that wait for a total have turns in the order of coming. For shares of other kinds, a
/// tenant's say, set `readLimits` and `writeLimits` of its connections to limits of your own.
public final class Throttle: Sendable {
    /// So many bytes a second, and at once after a pause.
    public struct Rate: Sendable, Equatable {
        /// 1 to 10^10.
        public var bytesPerSecond: Int
        /// At least 1; nil for what passes in 100 ms, 1 KiB at least.
        public var burstBytes: Int?

        /// A rate.
        public init(bytesPerSecond: Int, burstBytes: Int? = nil) {
            self.bytesPerSecond = bytesPerSecond
            self.burstBytes = burstBytes
        }

        fileprivate func makeLimit() -> RateLimit { RateLimit(bytesPerSecond: bytesPerSecond, burstBytes: burstBytes) }
    }

    private let (read, write): (Rate?, Rate?)
    private let (totalRead, totalWrite): ([RateLimit], [RateLimit])

    /// - Parameters:
    ///   - read: What each connection may be read at; nil for no limit.
    ///   - write: What each connection may be sent at.
    ///   - totalRead: What all of them together may be read at.
    ///   - totalWrite: What all of them together may be sent at.
    public init(read: Rate? = nil, write: Rate? = nil, totalRead: Rate? = nil, totalWrite: Rate? = nil) {
        (self.read, self.write) = (read, write)
        self.totalRead = totalRead.map { [$0.makeLimit()] } ?? []
        self.totalWrite = totalWrite.map { [$0.makeLimit()] } ?? []
    }

    /// A builder whose connections keep to the rates.
    public func guarding(_ build: @escaping StreamBuilder) -> StreamBuilder {
        { [self] transport in
            let reading = (read.map { [$0.makeLimit()] } ?? []) + totalRead
            let writing = (write.map { [$0.makeLimit()] } ?? []) + totalWrite
            // Within those that others have set; a connection that comes from another reactor has the totals already.
            if !reading.isEmpty {
                transport.readLimits =
                    reading + transport.readLimits.filter { limit in !totalRead.contains { $0 === limit } }
            }
            if !writing.isEmpty {
                transport.writeLimits =
                    writing + transport.writeLimits.filter { limit in !totalWrite.contains { $0 === limit } }
            }
            return try build(transport)
        }
    }
}
