// SPDX-License-Identifier: Apache-2.0

internal import SpindleSystem

/// A connection found in the table, not counted as a reference: that would cost each event two atomic operations.
///
/// The table keeps what was removed until the flush of the turn, so it lives for as long as the reactor works on one
/// event or timer. It must not be kept longer.
@safe struct BorrowedConnection {
    private let reference: Unmanaged<Connection>

    @inline(__always)
    init(_ connection: Connection) { unsafe reference = Unmanaged.passUnretained(connection) }

    @inline(__always)
    func use(_ body: (Connection) -> Void) { unsafe reference._withUnsafeGuaranteedRef(body) }

    /// Loads its first cache line soon. Only a hint; the address is not used otherwise.
    @inline(__always)
    func prefetch() { unsafe Processor.prefetch(reference.toOpaque()) }
}
