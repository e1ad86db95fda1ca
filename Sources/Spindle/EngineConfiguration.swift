// SPDX-License-Identifier: Apache-2.0

public import SpindleReactor
public import SpindleTopology

/// How connections reach reactors.
public enum AcceptMode: String, Sendable, CaseIterable {
    /// A listening socket per reactor; the kernel's hash of the addresses chooses. SO_REUSEPORT, socket(7).
    case reuseport
    /// A listening socket per reactor; the reactor nearest to the CPU that took the packet gets the connection.
    case reuseportCPU = "reuseport-cpu"
    /// As `reuseport`, but a reactor that has markedly more connections hands new ones to the one with the fewest.
    case balanced
    /// A listening socket per reactor; the client's source port modulo the number of reactors chooses.
    case port
}

/// Everything that can be set about an engine: placement, accepting, and the limits of each reactor.
///
/// `EngineOption.all` is the same as a table, with name, unit, range, default and trade-off of each.
public struct EngineConfiguration: Sendable, Equatable {
    /// Which CPUs, how many reactors, pinned or not.
    public var placement = PlacementRequest()
    /// How connections reach reactors.
    public var acceptMode = AcceptMode.reuseport
    /// Connections that may wait to be accepted, per socket; the kernel clamps it to net.core.somaxconn.
    public var backlog = 4096
    /// How long a stop waits for connections to finish before it resets them.
    public var drainTimeout: Duration = .seconds(10)
    /// Microseconds that a socket's poll may spin in the device driver (SO_BUSY_POLL); 0 leaves it off.
    public var busyPoll: Duration = .zero
    /// With `balanced`: hand over when a reactor has so many connections more than the one with the fewest.
    public var balanceThreshold = 8
    /// Descriptors that the process's table is made for at the start when connections have no limit: the kernel
    /// doubles it otherwise, and accept(2) waits for that. At most RLIMIT_NOFILE is used.
    public var descriptorTableSize = 1 << 16
    /// Whom the process becomes at the start, once listeners are bound: a user's name or number; nil: nobody else.
    ///
    /// Every thread changes, and for good: what is bound after the start does without root. Use the blocking `run` on
    /// the first thread: an asynchronous `main` ends that thread, and ps(1) shows its old owner ever after.
    public var user: String?
    /// With `user`: its group's name or number; nil is the user's own.
    public var group: String?
    /// The threads for work that blocks.
    public var blocking = BlockingPool.Configuration()
    /// The limits and budgets of each reactor.
    public var limits = ReactorConfiguration()

    /// The defaults above.
    public init() {}
}

extension EngineConfiguration {
    /// Checks the relations between options that no single one of them can check.
    ///
    /// - Throws: `OptionError`, naming the option to change.
    public func validate() throws(OptionError) {
        func refuse(_ option: String, _ allowed: String) throws(OptionError) {
            throw OptionError(
                option: option,
                given: EngineOption.named(option)?.value(in: self) ?? "",
                allowed: allowed
            )
        }
        if limits.writeLowWatermarkBytes >= limits.writeHighWatermarkBytes {
            let high = ByteSize.text(limits.writeHighWatermarkBytes)
            try refuse("write-low-watermark", "less than --write-high-watermark (\(high))")
        }
        if limits.writeHighWatermarkBytes >= limits.writeLimitBytes {
            let limit = ByteSize.text(limits.writeLimitBytes)
            try refuse("write-high-watermark", "less than --write-limit (\(limit))")
        }
        if limits.mailboxCapacity.nonzeroBitCount != 1 {
            try refuse("mailbox-capacity", "a power of two, as 256 or 1024")
        }
        if limits.urgentCapacity.nonzeroBitCount != 1 {
            try refuse("urgent-capacity", "a power of two, as 16 or 64")
        }
        if group != nil, user == nil { try refuse("group", "a group with --user only, whose group it is to be") }
    }
}
