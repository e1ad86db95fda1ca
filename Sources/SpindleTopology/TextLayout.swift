// SPDX-License-Identifier: Apache-2.0

/// Lines of text that fit a width: paragraphs with a hanging indent, and tables.
///
/// Widths are in characters; everything that comes from files has been made printable ASCII before.
struct TextLayout {
    /// A space at which no line is broken.
    static let hardSpace: Character = "\u{A0}"

    /// Narrower text is not made.
    static let minimumColumns = 80

    /// No line is longer than this.
    let columns: Int
    private(set) var lines: [String] = []

    init(columns: Int) {
        // The tables' fixed columns need some 60.
        self.columns = max(columns, TextLayout.minimumColumns)
    }

    mutating func addEmptyLine() {
        if let last = lines.last, !last.isEmpty { lines.append("") }
    }

    /// Adds `label` and `text`; further lines are indented by `hang` characters, at most half of the width.
    ///
    /// Breaks at spaces, and after the commas of CPU lists that are longer than a line; longer words are cut.
    mutating func add(_ label: String, _ text: String, hang: Int) {
        let hang = min(hang, columns / 2)
        var line = label + String(repeating: " ", count: max(0, hang - label.count))
        var isLineStart = true
        for word in text.split(separator: " ") {
            for (index, piece) in pieces(of: word, width: columns - hang).enumerated() {
                let space = isLineStart || index > 0 ? "" : " "
                if line.count + space.count + piece.count > columns, line.count > hang || !isLineStart {
                    finish(line)
                    line = String(repeating: " ", count: hang) + piece
                } else {
                    line += space + piece
                }
                isLineStart = false
            }
        }
        finish(line)
    }

    /// Adds rows under a heading, columns as wide as their widest cell; the last column may run over several lines.
    mutating func addTable(heading: [String], rows: [[String]], indent: Int) {
        let all = [heading] + rows
        let widths = (0..<(heading.count - 1)).map { column in all.map { $0[column].count }.max() ?? 0 }
        for row in all {
            var label = String(repeating: " ", count: indent)
            for (cell, width) in zip(row, widths) {
                label += cell + String(repeating: " ", count: width - cell.count + 2)
            }
            add(label, row[heading.count - 1], hang: label.count)
        }
    }

    /// A word that fits, or its parts: cut after commas, and where that doesn't help anywhere.
    private func pieces(of word: Substring, width: Int) -> [String] {
        guard word.count > width else { return [String(word)] }
        var pieces: [String] = []
        var piece = ""
        for (index, part) in word.split(separator: ",", omittingEmptySubsequences: false).enumerated() {
            if index > 0 { piece += "," }
            if piece.count + part.count + 1 > width, !piece.isEmpty {
                pieces.append(piece)
                piece = ""
            }
            piece += part
            while piece.count >= width {
                pieces.append(String(piece.prefix(width)))
                piece = String(piece.dropFirst(width))
            }
        }
        return piece.isEmpty ? pieces : pieces + [piece]
    }

    private mutating func finish(_ line: String) {
        var line = line.map { $0 == TextLayout.hardSpace ? " " : $0 }
        while line.last == " " { line.removeLast() }
        lines.append(String(line))
    }
}
