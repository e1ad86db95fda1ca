// SPDX-License-Identifier: Apache-2.0

import Spindle

/// The server that `spindle tune` tries flags on.
enum TuneTarget: Sendable {
    /// The echo server of this program.
    case builtIn
    /// Somebody's own, started anew for every value; only its number of cores can be tried.
    case command(ServerCommandLine)
    /// One that runs already: nothing of it can be tried, only how many connections it takes to load it.
    case running(SocketAddress)
}
