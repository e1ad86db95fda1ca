// SPDX-License-Identifier: Apache-2.0

import Glibc

/// Where `/sys` and `/proc` are read from: a root folder, or files held in memory.
///
/// "/" is the running machine; a fixture folder with `sys/…` and `proc/…` below it is any other one; `init(texts:)`
/// describes a machine inside a test. Reading never throws and never traps: a file that is missing, refused or too
/// long is a value of `Contents`, because containers and old kernels leave out different files each.
///
/// A value without state: usable from any thread. Each call opens, reads and closes; the system calls block for
/// microseconds (`/sys` and `/proc` are not disks), so it is for start-up and slow statistics, not for a turn.
public struct SystemFiles: Sendable {
    /// What reading one file gave.
    public enum Contents: Sendable, Equatable {
        /// The whole file, invalid UTF-8 repaired. May be empty.
        case text(String)
        /// No such file.
        case missing
        /// It is there and can't be read (permission, a folder, an attribute whose driver refuses).
        case unreadable
        /// It has more bytes than the limit; nothing of it is used, since half a list is a wrong list.
        case tooLong(limitBytes: Int)
    }

    private enum Source: Sendable {
        case folder(String)
        case memory([String: [UInt8]])
    }

    /// The longest file that is read unless the caller says otherwise: 1 MiB. Longer files are `.tooLong`.
    public static let defaultLimitBytes = 1 << 20

    /// The most names that `names(in:)` returns; the rest of a longer folder is left out (the container host with
    /// 100,000 virtual interfaces).
    public static let nameLimit = 16_384

    private let source: Source

    /// Files below a folder; `root` is "/" for the running machine, with or without a slash at the end.
    public init(root: String = "/") {
        source = .folder(root.hasSuffix("/") ? String(root.dropLast()) : root)
    }

    /// Files held in memory; keys are paths such as "/sys/devices/system/cpu/online".
    public init(texts: [String: String]) {
        source = .memory(texts.mapValues { Array($0.utf8) })
    }

    /// Files held in memory as bytes that need not be UTF-8 (for fuzzing).
    public init(bytes: [String: [UInt8]]) {
        source = .memory(bytes)
    }

    /// Reads a whole file.
    ///
    /// - Parameters:
    ///   - path: Absolute, e.g. "/proc/self/cgroup"; taken below the root. A path with a NUL in it is `.missing`.
    ///   - limitBytes: Above this many bytes the answer is `.tooLong`.
    public func read(_ path: String, limitBytes: Int = SystemFiles.defaultLimitBytes) -> Contents {
        switch source {
        case .memory(let files):
            guard let bytes = files[path] else { return .missing }
            guard bytes.count <= limitBytes else { return .tooLong(limitBytes: limitBytes) }
            return .text(String(decoding: bytes, as: UTF8.self))
        case .folder(let root):
            return readFile(root + path, limitBytes: limitBytes, keepsPrefix: false)
        }
    }

    /// Reads at most the first `byteCount` bytes; for files of which the beginning is enough (`/proc/cpuinfo`).
    public func readPrefix(_ path: String, byteCount: Int) -> Contents {
        switch source {
        case .memory(let files):
            guard let bytes = files[path] else { return .missing }
            return .text(String(decoding: bytes.prefix(byteCount), as: UTF8.self))
        case .folder(let root):
            return readFile(root + path, limitBytes: byteCount, keepsPrefix: true)
        }
    }

    /// Whether a file or folder exists; false when a folder on the way may not be searched.
    public func exists(_ path: String) -> Bool {
        switch source {
        case .memory(let files):
            let prefix = path.hasSuffix("/") ? path : path + "/"
            return files[path] != nil || files.keys.contains { $0.hasPrefix(prefix) }
        case .folder(let root):
            // `unsafe`: the path is a temporary C string that lives for the call.
            return !path.utf8.contains(0) && (unsafe access(root + path, F_OK)) == 0
        }
    }

    /// The names in a folder, sorted by their bytes, without "." and ".."; empty when the folder is missing or
    /// refused. At most `nameLimit` names.
    public func names(in path: String) -> [String] {
        switch source {
        case .memory(let files):
            let prefix = path + "/"
            let names = files.keys.lazy.filter { $0.hasPrefix(prefix) }
                .map { String($0.dropFirst(prefix.count).prefix { $0 != "/" }) }
            return Array(Set(names).sorted().prefix(SystemFiles.nameLimit))
        case .folder(let root):
            return folderNames(root + path)
        }
    }
}

/// Reads with open(2) and read(2) until the end, since the sizes that `/sys` and `/proc` state are not true.
private func readFile(_ path: String, limitBytes: Int, keepsPrefix: Bool) -> SystemFiles.Contents {
    // A NUL would end the path early and open another file.
    guard !path.utf8.contains(0) else { return .missing }
    // O_NONBLOCK: a fixture or a mount that has a FIFO in the place of a file must not hang the start.
    // `unsafe`: the path is a temporary C string that lives for the call.
    let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else {
        // access(2) tells "refused" from "not there"; errno can't be read reliably from Swift.
        return unsafe access(path, F_OK) == 0 ? .unreadable : .missing
    }
    defer { _ = close(descriptor) }
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 4096)
    while bytes.count <= limitBytes {
        // `unsafe`: read(2) writes at most `count` bytes into the array's own storage, during the call only.
        let readCount = unsafe chunk.withUnsafeMutableBytes { unsafe Glibc.read(descriptor, $0.baseAddress, $0.count) }
        guard readCount >= 0 else { return .unreadable }
        if readCount == 0 { break }
        bytes += chunk[..<readCount]
    }
    if bytes.count > limitBytes {
        guard keepsPrefix else { return .tooLong(limitBytes: limitBytes) }
        bytes.removeLast(bytes.count - limitBytes)
    }
    return .text(String(decoding: bytes, as: UTF8.self))
}

/// Lists with opendir(3) and readdir(3).
private func folderNames(_ path: String) -> [String] {
    guard !path.utf8.contains(0) else { return [] }
    // `unsafe`: the stream is closed exactly once, at the end of this function, and does not leave it.
    guard let stream = unsafe opendir(path) else { return [] }
    defer { _ = unsafe closedir(stream) }
    var names: [String] = []
    // `unsafe`: an entry is valid until the next readdir of this stream, and its name ends in NUL inside it.
    while names.count < SystemFiles.nameLimit, let entry = unsafe readdir(stream) {
        let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) { field in
            unsafe field.withMemoryRebound(to: CChar.self, capacity: 256) { unsafe String(cString: $0) }
        }
        if name != ".", name != ".." { names.append(name) }
    }
    return names.sorted()
}
