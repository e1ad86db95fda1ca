// SPDX-License-Identifier: Apache-2.0

/// What one receive is to take of descriptors, and what it took.
public struct PassedDescriptors: Sendable {
    /// So many are taken at most, 0 to 253; the kernel closes the others.
    public let room: Int
    /// What came, in order.
    public var descriptors: [PassedDescriptor] = []
    /// Others came, too, for which there was no room: they are closed.
    public var areIncomplete = false

    /// Nothing has come yet.
    public init(room: Int) { self.room = room }

    /// True when a receive stopped behind descriptors, whether they had room or not.
    public var haveCome: Bool { areIncomplete || !descriptors.isEmpty }
}
