// SPDX-License-Identifier: Apache-2.0

internal import SpindleCore

/// A connection's hot state, without exclusivity checks at run time, for the reasons in Reactor+State.swift: two
/// pure values, and an object that is only moved in and out.
extension Connection {
    /// Where it is in its life.
    var state: ConnectionState {
        @inline(__always) _read { yield unsafe uncheckedState }
        @inline(__always) _modify { yield unsafe &uncheckedState }
    }

    /// What the kernel has not taken yet.
    var queue: WriteQueue {
        @inline(__always) _read { yield unsafe uncheckedQueue }
        @inline(__always) _modify { yield unsafe &uncheckedQueue }
    }

    /// Whom it serves, from `connectionMade` to `connectionLost`; nil while one of its callbacks runs.
    var proto: (any StreamProtocol)? {
        @inline(__always) _read { yield unsafe uncheckedProto }
        @inline(__always) _modify { yield unsafe &uncheckedProto }
    }

    /// Puts the protocol back that was taken for a callback.
    @inline(__always)
    func giveBack(_ proto: consuming any StreamProtocol) {
        assert(self.proto == nil, "a protocol was built while another one's callback ran")
        // Nothing is there that an assignment would have to let go of.
        unsafe withUnsafeMutablePointer(to: &uncheckedProto) { unsafe $0.initialize(to: proto) }
    }
}
