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

    /// Writes beside the file and renames, so that a full disk leaves what was there before.
    static func write(_ text: String, to path: String) throws {
        let beside = "\(path).\(getpid()).new"
        guard let file = unsafe fopen(beside, "wx") else { throw failure(path) }
        var bytes = Array(text.utf8)
        let written = unsafe fwrite(&bytes, 1, bytes.count, file)
        let closed = unsafe fclose(file)
        guard written == bytes.count, closed == 0, unsafe rename(beside, path) == 0 else {
            let failure = failure(path)
            _ = unsafe unlink(beside)
            throw failure
        }
    }

    private static func failure(_ path: String) -> Failure {
        Failure(path: path, reason: unsafe String(cString: strerror(__errno_location().pointee)))
    }
}

/// Words as a shell reads them.
enum ShellText {
    /// The word itself, or in quotes when it would not be one.
    static func quoted(_ word: String) -> String {
        let isPlain =
            !word.isEmpty && word.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || "-_./:=,+@%".contains($0)) }
        return isPlain
            ? word : "'" + word.split(separator: "'", omittingEmptySubsequences: false).joined(separator: "'\\''") + "'"
    }
}
