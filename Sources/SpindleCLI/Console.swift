// SPDX-License-Identifier: Apache-2.0

import Glibc

/// Exit codes of sysexits.h, those that the command uses.
enum ExitStatus {
    /// The run itself failed: a wrong byte, a missed check.
    static let failure: Int32 = 1
    /// The command was used wrongly (EX_USAGE).
    static let usage: Int32 = 64
    /// A port is taken, or a server can't be reached (EX_UNAVAILABLE).
    static let unavailable: Int32 = 69
    /// The system refused something it should grant (EX_OSERR).
    static let system: Int32 = 71
    /// Output could not be written (EX_IOERR).
    static let output: Int32 = 74
    /// Ended by Ctrl-C before there was a result: 128 and the signal's number, as shells have it.
    static let interrupted: Int32 = 130
    /// Not permitted, as a port below 1024 (EX_NOPERM).
    static let permission: Int32 = 77
}

/// Writes to the standard streams, unbuffered: what was written is seen, and a failure is noticed.
enum Console {
    /// Writes the text and a newline to standard output; ends the program when that fails, as on a full disk.
    static func say(_ text: String) { write(text + "\n") }

    /// The same without a newline.
    static func write(_ text: String) {
        guard write(text, to: 1) else {
            let reason = unsafe String(cString: strerror(__errno_location().pointee))
            complain("cannot write to standard output: \(reason)")
            exit(ExitStatus.output)
        }
    }

    /// Writes the text and a newline to standard error.
    static func complain(_ text: String) { _ = write("spindle: " + text + "\n", to: 2) }

    /// Shows `text` in place of the last progress line; only on a terminal.
    static func progress(_ text: String) {
        if isTerminal { _ = write("\r\u{1b}[K" + text, to: 2) }
    }

    /// Writes lines to a terminal in place of the last so many.
    static func redraw(_ lines: [String], over count: Int) {
        let up = count > 0 ? "\u{1b}[\(count)A" : ""
        _ = write(up + lines.map { "\r\u{1b}[K\($0)\n" }.joined() + "\u{1b}[J", to: 2)
    }

    /// True when somebody watches standard error.
    static var isTerminal: Bool { isatty(2) == 1 }

    private static func write(_ text: String, to descriptor: CInt) -> Bool {
        var bytes = Array(text.utf8)[...]
        while !bytes.isEmpty {
            let count = unsafe bytes.withUnsafeBytes { unsafe Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count < 0 {
                if unsafe __errno_location().pointee == EINTR { continue }
                return false
            }
            bytes = bytes.dropFirst(count)
        }
        return true
    }
}
