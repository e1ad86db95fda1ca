// SPDX-License-Identifier: Apache-2.0

import Glibc

/// A file that the command writes: whole, or not at all.
enum OutputFile {
    /// Why it could not be written.
    struct Failure: Error, CustomStringConvertible {
        let path: String
        let reason: String
        var description: String { "cannot write \(path): \(reason)" }
    }

    /// Writes beside the file and renames, so that a full disk leaves what was there before; what is no file
    /// of a disk, as /dev/stdout, is written to.
    static func write(_ text: String, to path: String) throws {
        let isSpecial = path.hasPrefix("/dev/") || path.hasPrefix("/proc/")
        let target = isSpecial ? path : "\(path).\(getpid()).new"
        guard let file = unsafe fopen(target, isSpecial ? "w" : "wx") else { throw failure(path) }
        var bytes = Array(text.utf8)
        let written = unsafe fwrite(&bytes, 1, bytes.count, file)
        let closed = unsafe fclose(file)
        guard written == bytes.count, closed == 0 else { throw failure(path, removing: isSpecial ? nil : target) }
        guard unsafe isSpecial || rename(target, path) == 0 else { throw failure(path, removing: target) }
    }

    private static func failure(_ path: String, removing leftover: String? = nil) -> Failure {
        let failure = Failure(path: path, reason: unsafe String(cString: strerror(__errno_location().pointee)))
        if let leftover { _ = unsafe remove(leftover) }
        return failure
    }
}

/// Words as a shell reads them.
enum ShellText {
    /// What runs this command again: its words, and the variables that it looked at.
    static var thisCommand: String {
        let variables = Environment.all.sorted { $0.key < $1.key }.map { "\($0.key)=\(quoted($0.value))" }
        return (variables + CommandLine.arguments.map(quoted)).joined(separator: " ")
    }

    /// The word itself, or in quotes when it would not be one.
    static func quoted(_ word: String) -> String {
        let isPlain =
            !word.isEmpty && word.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || "-_./:=,+@%".contains($0)) }
        return isPlain
            ? word : "'" + word.split(separator: "'", omittingEmptySubsequences: false).joined(separator: "'\\''") + "'"
    }
}
