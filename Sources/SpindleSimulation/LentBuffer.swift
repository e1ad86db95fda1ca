// SPDX-License-Identifier: Apache-2.0

internal import SpindleReactor

/// The memory that a simulated driver lends received bytes from, as a kernel's or a ring's buffer would be lent.
///
/// Owned by its driver, used on its thread. What was lent is overwritten by the next use, so that whoever kept a
/// pointer notices.
@safe final class LentBuffer {
    private static let poison: UInt8 = 0xdd

    let capacity: Int
    private let memory: UnsafeMutableBufferPointer<UInt8>
    private var lentCount = 0

    init(capacity: Int) {
        self.capacity = capacity
        unsafe memory = .allocate(capacity: capacity)
        unsafe memory.initialize(repeating: LentBuffer.poison)
    }

    deinit { unsafe memory.deallocate() }

    /// Takes back what was lent.
    func takeBack() {
        guard lentCount > 0 else { return }
        unsafe UnsafeMutableBufferPointer(rebasing: memory[..<lentCount]).update(repeating: LentBuffer.poison)
        lentCount = 0
    }

    /// Lends a copy of `bytes`, at least 1 and at most `capacity`, until the next `takeBack`.
    func lend(_ bytes: ArraySlice<UInt8>, drained: Bool) -> LentBytes {
        takeBack()
        lentCount = bytes.count
        let lent = unsafe UnsafeMutableBufferPointer(rebasing: memory[..<bytes.count])
        _ = unsafe lent.update(fromContentsOf: bytes)
        // Valid until `takeBack`, which the driver calls at its next receive or wait, as LentBytes asks.
        return unsafe LentBytes(UnsafeBufferPointer(lent), drained: drained)
    }
}
