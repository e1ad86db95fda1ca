// SPDX-License-Identifier: Apache-2.0

/// How a value lies in the 48 bytes of a mailbox slot: itself where it fits, else a box that it was moved into.
///
/// Moving a Swift value is copying its bytes, so any value that fits may lie in a slot, references included.
@usableFromInline
enum Envelope<Message> {
    @usableFromInline
    final class Box {
        @usableFromInline let message: Message
        @inlinable init(_ message: Message) { self.message = message }
    }

    @inlinable static var fits: Bool {
        MemoryLayout<Message>.size <= MailRing.payloadBytes && MemoryLayout<Message>.alignment <= 16
    }

    /// Puts the message into a slot that nobody else sees yet.
    @inlinable
    @unsafe static func put(_ message: Message, into payload: UnsafeMutableRawPointer) {
        if fits {
            unsafe payload.initializeMemory(as: Message.self, to: message)
        } else {
            let box = unsafe Unmanaged.passRetained(Box(message)).toOpaque()
            unsafe payload.initializeMemory(as: UnsafeMutableRawPointer.self, to: box)
        }
    }

    /// Moves the message out of a slot, which holds nothing afterwards.
    @inlinable
    @unsafe static func take(_ payload: UnsafeMutableRawPointer) -> Message {
        if fits { return unsafe payload.assumingMemoryBound(to: Message.self).move() }
        let box = unsafe payload.load(as: UnsafeMutableRawPointer.self)
        return unsafe Unmanaged<Box>.fromOpaque(box).takeRetainedValue().message
    }
}
