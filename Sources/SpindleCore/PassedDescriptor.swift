// SPDX-License-Identifier: Apache-2.0

/// A descriptor that a peer has passed over a Unix socket (SCM_RIGHTS, unix(7)): a number of this process's own for the
/// same open file, close-on-exec. Closed when nobody holds the object any more; to keep the number longer, dup(2) it.
public final class PassedDescriptor: Sendable {
    /// The number. What it is of is the peer's choice: look before you use it.
    public let rawValue: Int32
    private let close: @Sendable (Int32) -> Void

    /// For drivers and transports of your own.
    ///
    /// - Parameters:
    ///   - rawValue: Nobody else closes it.
    ///   - close: Does it, once, from any thread.
    public init(owning rawValue: Int32, close: @escaping @Sendable (Int32) -> Void) {
        self.rawValue = rawValue
        self.close = close
    }

    deinit { close(rawValue) }
}

/// Why descriptors can't be passed, or what came of them is incomplete.
public enum PassingError: Error, Equatable, CustomStringConvertible {
    /// Only Unix sockets can.
    case notUnix
    /// There has to be a byte for them to travel with.
    case noBytes
    /// So many go with one byte (253: the kernel's limit), or wait to be sent (1,024).
    case tooMany(limit: Int)
    /// One that was to be passed is not open, or this process has no number left (EMFILE).
    case refused(descriptor: Int32, Errno)
    /// The peer passed more than `passedDescriptorLimit` lets wait, or this process had no number left for them: the
    /// kernel has closed some, and the connection ends.
    case lost(limit: Int)

    /// One sentence for a log.
    public var description: String {
        switch self {
        case .notUnix: "descriptors can only be passed over Unix sockets"
        case .noBytes: "descriptors need at least one byte to travel with"
        case .tooMany(let limit): "no more than \(limit) descriptors can be passed at a time"
        case .refused(let descriptor, let errno): "descriptor \(descriptor) can't be passed: \(errno)"
        case .lost(let limit):
            "the peer passed more descriptors than may wait (\(limit)), or than this process has numbers for"
        }
    }
}
