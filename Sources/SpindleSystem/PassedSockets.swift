// SPDX-License-Identifier: Apache-2.0

internal import CLinux
internal import Glibc

/// The sockets that a service manager has opened for this process: sd_listen_fds(3), systemd.socket(5).
package enum PassedSockets {
    /// One of them.
    package struct Entry: Sendable, Equatable {
        /// FileDescriptorName=; `unknown` when the manager gave none.
        package let name: String
        /// Open, close-on-exec.
        package let descriptor: CInt
    }

    /// Reads and removes LISTEN_PID, LISTEN_FDS and LISTEN_FDNAMES: children inherit nothing, and a second call finds
    /// nothing. Not while other threads look at the environment: at the start of the process.
    ///
    /// - Returns: In the manager's order; none when the variables are for another process, or make no sense.
    package static func take() -> [Entry] {
        func variable(_ name: String) -> String? { unsafe getenv(name).map { unsafe String(cString: $0) } }
        defer { for name in ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"] { unsafe unsetenv(name) } }
        return entries(
            pid: variable("LISTEN_PID"),
            count: variable("LISTEN_FDS"),
            names: variable("LISTEN_FDNAMES"),
            ownPID: getpid()
        ).filter { cl_set_close_on_exec($0.descriptor) >= 0 }
    }

    /// What the variables say.
    package static func entries(pid: String?, count: String?, names: String?, ownPID: Int32) -> [Entry] {
        guard let pid, Int32(pid) == ownPID, let count, let count = CInt(count), (1...65_536).contains(count) else {
            return []
        }
        // SD_LISTEN_FDS_START.
        let first: CInt = 3
        let given = names?.split(separator: ":", omittingEmptySubsequences: false).map(String.init) ?? []
        return (0..<Int(count)).map { index in
            let name = given.indices.contains(index) && !given[index].isEmpty ? given[index] : "unknown"
            return Entry(name: name, descriptor: first + CInt(index))
        }
    }
}
