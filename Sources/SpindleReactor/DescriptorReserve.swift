// SPDX-License-Identifier: Apache-2.0

internal import SpindleCore
internal import SpindleSystem

/// One descriptor held back for the whole process, to take and close connections when all others are used up.
///
/// Without it a full table leaves the clients in the backlog hanging, and an edge-triggered listener silent.
/// One per process and not per core: descriptors are per process, and a core's private reserve would be taken by
/// its neighbour in the moment between close and accept.
package final class DescriptorReserve: Sendable {
    private let held: Guarded<CInt?>

    package init() { held = Guarded(DescriptorLimit.reserve()) }

    deinit { held.withLock { if let descriptor = $0 { Descriptor.close(descriptor) } } }

    /// Closes the reserve, accepts one connection, closes that, and takes the reserve again.
    ///
    /// - Returns: True when a connection was taken; false when another core is at it, or none could be had.
    func shed(from listener: StreamSocket) -> Bool {
        held.withLockIfAvailable { descriptor in
            guard let reserve = descriptor else {
                descriptor = DescriptorLimit.reserve()
                return false
            }
            Descriptor.close(reserve)
            defer { descriptor = DescriptorLimit.reserve() }
            guard let (socket, _) = try? listener.accept() else { return false }
            socket.close()
            return true
        } ?? false
    }
}
