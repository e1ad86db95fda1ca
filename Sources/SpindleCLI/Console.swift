// SPDX-License-Identifier: Apache-2.0

import Glibc
import SpindleCore
import SpindleService
import SpindleSystem

/// Exit codes of sysexits.h, those that the command uses.
enum ExitStatus {
    /// The run itself failed: a wrong byte, a missed check.
    static let failure: Int32 = 1
    /// The command was used wrongly (EX_USAGE).
    static let usage: Int32 = 64
    /// A file that was named cannot be read (EX_NOINPUT).
    static let noInput: Int32 = 66
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
    /// A configuration file is wrong (EX_CONFIG).
    static let configuration: Int32 = 78
}

/// Writes to the standard streams, unbuffered: what was written is seen, and a failure is noticed.
enum Console {
    /// Writes the text and a newline to standard output; ends the program when that fails, as on a full disk.
    static func say(_ text: String) { write(text + "\n") }

    /// The same without a newline.
    static func write(_ text: String) {
        do { try Descriptor.write(Array(text.utf8), to: 1) } catch {
            complain("cannot write to standard output: \(error)")
            SpindleProgram.log.stop()
            exit(ExitStatus.output)
        }
    }

    /// Writes the text and a newline to standard error.
    static func complain(_ text: String) { show("spindle: " + text + "\n") }

    /// Shows `text` in place of the last progress line; only on a terminal.
    static func progress(_ text: String) {
        if isTerminal { show("\r\u{1b}[K" + text) }
    }

    /// Writes lines to a terminal in place of the last so many.
    static func redraw(_ lines: [String], over count: Int) {
        let up = count > 0 ? "\u{1b}[\(count)A" : ""
        show(up + lines.map { "\r\u{1b}[K\($0)\n" }.joined() + "\u{1b}[J")
    }

    /// True when somebody watches standard error.
    static var isTerminal: Bool { isatty(2) == 1 }

    /// On standard error; when that is gone there is nobody to tell.
    private static func show(_ text: String) { try? Descriptor.write(Array(text.utf8), to: 2) }
}
