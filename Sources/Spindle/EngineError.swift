// SPDX-License-Identifier: Apache-2.0

public import SpindleCore

/// An engine cannot be started.
public enum StartError: Error, CustomStringConvertible {
    /// It runs already, or is stopping.
    case alreadyRunning
    /// A reactor's thread or driver could not be made.
    case reactor(index: Int, errno: Errno)
    /// The process has no descriptor or thread left for the engine itself.
    case noResources(Errno)
    /// Another engine of this process runs with `run`, which has the signals.
    case signalsTaken
    /// A sharded service's instance could not be made.
    case service(shard: Int, any Error)
    /// The process may not become the configured user.
    case owner(user: String, Errno)
    /// `maximumConnections` needs more descriptors than the process may have.
    case descriptors(wanted: Int, hardLimit: UInt64)

    /// What is wrong, and what to do about it.
    public var description: String {
        switch self {
        case .alreadyRunning: "the engine runs already"
        case .reactor(let index, let errno): "reactor \(index) cannot be started: \(errno)"
        case .noResources(let errno):
            "the engine cannot be started: \(errno); raise the limits on descriptors and threads (ulimit -n, -u)"
        case .signalsTaken:
            "another engine of this process has the signals (`run`); use `start` and `stop` for this one"
        case .service(let shard, let error): "a service could not be made on reactor \(shard): \(error)"
        case .owner(let user, let errno):
            "the process cannot become user \(user): \(errno); start it as root, or leave out --user and --group"
        case .descriptors(let wanted, let hardLimit):
            "\(wanted) connections per reactor need more descriptors than RLIMIT_NOFILE's hard limit of \(hardLimit); "
                + "raise it (ulimit -Hn) or lower --max-connections"
        }
    }
}
