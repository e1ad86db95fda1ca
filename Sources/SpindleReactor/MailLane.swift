// SPDX-License-Identifier: Apache-2.0

/// Which of the two ways from one reactor to another a channel's messages take.
public enum MailLane: Sendable, BitwiseCopyable {
    /// Seen at the sender's end of turn, or after 16 messages; in the order of sending over all such channels.
    case ordinary
    /// Seen at once, and before everything that waits in the ordinary lane: for few, short messages (a stop, a
    /// heartbeat). The lane is small (`urgentCapacity`); each message rings the receiver's bell by itself. In the
    /// order of sending among its own, in none with the ordinary lane.
    case urgent
}
