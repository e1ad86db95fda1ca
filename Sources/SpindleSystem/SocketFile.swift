// SPDX-License-Identifier: Apache-2.0

internal import CLinux
internal import Glibc
package import SpindleCore

/// The file by which others find a listening Unix socket: made by binding, removed when the last one lets go of it.
///
/// What a server that crashed has left is replaced; one that still listens is not, and neither is a file of another
/// kind. The folder is locked meanwhile (flock(2)), so of two servers that start at once one gets the name.
package final class SocketFile: Sendable {
    private let path: String
    private let identity: Identity
    /// Keeps the file's number from being given to a successor's.
    private let file: Descriptor

    private struct Identity: Equatable {
        var mode: UInt32 = 0
        var device: UInt64 = 0
        var inode: UInt64 = 0
        var isSocket: Bool { mode & S_IFMT == S_IFSOCK }

        /// Nil when there is no such file.
        init?(of path: String) {
            guard unsafe cl_file_identity(path, &mode, &device, &inode) == 0 else { return nil }
        }

        static func == (left: Identity, right: Identity) -> Bool {
            left.device == right.device && left.inode == right.inode
        }
    }

    /// Binds `socket` to the file and has it listen: one that is bound and does not listen looks as if it was left.
    ///
    /// - Parameter mode: The file's permissions, whatever the umask; nil leaves it to that.
    /// - Throws: EADDRINUSE when somebody listens there, EEXIST when the file is no socket, ENOENT without its folder.
    package init(binding socket: StreamSocket, to path: String, mode: UInt32?, backlog: Int) throws(Errno) {
        self.path = path
        let lock = try FolderLock(of: path)
        defer { lock.end() }
        try SocketFile.removeStale(path)
        // Before: never more may have it than should. After: the umask took some away.
        if let mode { try checked(cl_change_mode_of(socket.descriptor, mode)) }
        try socket.bind(to: .unix(path))
        do throws(Errno) {
            if let mode { try checked(unsafe cl_change_mode(path, mode)) }
            try socket.listen(backlog: backlog)
            file = Descriptor(owning: try checked(unsafe cl_open_path(path)))
            guard let identity = Identity(of: path) else { throw .noSuchFile }
            self.identity = identity
        } catch {
            _ = unsafe cl_unlink(path)
            throw error
        }
    }

    /// Not when somebody else has put another file there.
    deinit {
        let lock = try? FolderLock(of: path)
        if Identity(of: path) == identity { _ = unsafe cl_unlink(path) }
        lock?.end()
    }

    /// Of those who bind and remove files of one folder one is at work.
    private struct FolderLock {
        private let descriptor: CInt?

        /// One that may be entered and not read can't be locked; what else is wrong with it binding says as well.
        init(of path: String) throws(Errno) {
            let result = unsafe cl_lock_folder(FolderLock.folder(of: path))
            guard result >= 0 || result == -EACCES else { throw Errno(rawValue: -result) }
            descriptor = result >= 0 ? result : nil
        }

        func end() { if let descriptor { Descriptor.close(descriptor) } }

        private static func folder(of path: String) -> String {
            guard let slash = path.lastIndex(of: "/") else { return "." }
            return slash == path.startIndex ? "/" : String(path[..<slash])
        }
    }

    private static func removeStale(_ path: String) throws(Errno) {
        guard let there = Identity(of: path) else { return }
        guard there.isSocket else { throw .fileExists }
        let probe = try StreamSocket.open(for: .unix(path))
        defer { probe.close() }
        do throws(Errno) { try probe.connect(to: .unix(path)) } catch {
            switch error {
            case .connectionRefused: break
            // It listens, and its queue is full.
            case .wouldBlock: throw .addressInUse
            default: throw error
            }
            try checked(unsafe cl_unlink(path))
            return
        }
        throw .addressInUse
    }
}
