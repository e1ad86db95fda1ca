// SPDX-License-Identifier: Apache-2.0

/// The reactor's hot state, without exclusivity checks at run time.
///
/// The checks (swift_beginAccess) took 55 % of the instructions of an echo: 1,200 of 2,110. They guard against
/// a method of a value being entered again while it runs. None of these values calls out while it is being
/// changed: they know neither callbacks nor drivers, and what they give up is returned and destroyed by the
/// caller afterwards. New members must keep to that.
extension Reactor {
    /// The connections, by slot.
    var table: ConnectionTable {
        @inline(__always) _read { yield unsafe uncheckedTable }
        @inline(__always) _modify { yield unsafe &uncheckedTable }
    }

    /// The timers.
    var wheel: TimerWheel<TimerAction> {
        @inline(__always) _read { yield unsafe uncheckedWheel }
        @inline(__always) _modify { yield unsafe &uncheckedWheel }
    }

    /// Closures for a later turn.
    var jobs: JobQueues {
        @inline(__always) _read { yield unsafe uncheckedJobs }
        @inline(__always) _modify { yield unsafe &uncheckedJobs }
    }

    /// Swift tasks that can go on.
    var tasks: JobQueue<UnownedJob> {
        @inline(__always) _read { yield unsafe uncheckedTasks }
        @inline(__always) _modify { yield unsafe &uncheckedTasks }
    }

    /// What the running callback's connection has written.
    var cork: Cork {
        @inline(__always) _read { yield unsafe uncheckedCork }
        @inline(__always) _modify { yield unsafe &uncheckedCork }
    }

    /// The list of pieces for one vectored send.
    var pieces: SendPieces {
        @inline(__always) _read { yield unsafe uncheckedPieces }
        @inline(__always) _modify { yield unsafe &uncheckedPieces }
    }

    /// Connections with input left that no edge will announce.
    var readyList: ContiguousArray<Connection> {
        @inline(__always) _read { yield unsafe uncheckedReadyList }
        @inline(__always) _modify { yield unsafe &uncheckedReadyList }
    }

    /// Connections to settle at flush.
    var flushList: ContiguousArray<Connection> {
        @inline(__always) _read { yield unsafe uncheckedFlushList }
        @inline(__always) _modify { yield unsafe &uncheckedFlushList }
    }

    /// Connections that ended.
    var closeQueue: CloseQueue {
        @inline(__always) _read { yield unsafe uncheckedCloseQueue }
        @inline(__always) _modify { yield unsafe &uncheckedCloseQueue }
    }

    /// Listeners with connections left.
    var readyAcceptors: ContiguousArray<Acceptor> {
        @inline(__always) _read { yield unsafe uncheckedReadyAcceptors }
        @inline(__always) _modify { yield unsafe &uncheckedReadyAcceptors }
    }

    /// The batch of the last wait.
    var events: EventBuffer {
        @inline(__always) _read { yield unsafe uncheckedEvents }
        @inline(__always) _modify { yield unsafe &uncheckedEvents }
    }
}
