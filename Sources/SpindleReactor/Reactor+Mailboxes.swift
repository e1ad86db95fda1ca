// SPDX-License-Identifier: Apache-2.0

/// The reactor's ends of mailboxes, without exclusivity checks at run time, for the reasons in Reactor+State.swift:
/// handlers run when what takes their messages out was found, not while it is being looked for.
extension Reactor {
    /// The mailboxes that this reactor sends into.
    var outbox: Outbox {
        @inline(__always) _read { yield unsafe uncheckedOutbox }
        @inline(__always) _modify { yield unsafe &uncheckedOutbox }
    }

    /// The mailboxes that this reactor takes from.
    var intake: MailIntake {
        @inline(__always) _read { yield unsafe uncheckedIntake }
        @inline(__always) _modify { yield unsafe &uncheckedIntake }
    }
}
