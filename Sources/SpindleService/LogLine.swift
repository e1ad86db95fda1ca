// SPDX-License-Identifier: Apache-2.0

internal import Logging
internal import SpindleSystem
internal import SpindleTopology

/// How a `LogWriter` writes its lines.
public enum LogFormat: String, Sendable, CaseIterable {
    /// `2026-11-27T09:30:00.123456Z warning spindle reactor=0 connection=7: what happened`
    case text
    /// The same as an object of JSON per line.
    case json
}

/// One line of a log, before it is text.
struct LogLine: Sendable {
    /// Since 1970, in microseconds.
    var microseconds: Int64
    var level: Logger.Level
    var label: String
    var message: String
    var metadata: Logger.Metadata
    /// It was logged by a logger without a level of its own: the writer's decides, once that is known.
    var followsWriter = true

    /// What tells whom a line is about comes first.
    private static let identity = ["reactor", "connection", "peer"]

    /// The line with its newline. Control characters are escaped: what a peer sent begins no line of its own.
    func text(_ format: LogFormat) -> String {
        switch format {
        case .text: "\(WallClock.text(microseconds)) \(level) \(label)\(pairs): \(LogLine.oneLine(message))\n"
        case .json: json.compactText + "\n"
        }
    }

    private var pairs: String {
        let others = metadata.keys.filter { !LogLine.identity.contains($0) }.sorted()
        return (LogLine.identity + others).map { key in
            guard let value = metadata[key] else { return "" }
            let text = LogLine.oneLine("\(value)")
            // Quoted where it could be taken for more than one.
            let isPlain = !text.isEmpty && !text.contains { " \"=".contains($0) }
            return " \(LogLine.oneLine(key))=" + (isPlain ? text : "\"\(text.replacing("\"", with: "\\\""))\"")
        }.joined()
    }

    private var json: JSONValue {
        var members: [JSONValue.Member] = [
            .init("time", .string(WallClock.text(microseconds))), .init("level", .string("\(level)")),
            .init("label", .string(label)),
        ]
        for key in LogLine.identity {
            guard let value = metadata[key] else { continue }
            members.append(.init(key, Int("\(value)").map { .integer($0) } ?? LogLine.json(value)))
        }
        members.append(.init("message", .string(message)))
        let others = metadata.filter { !LogLine.identity.contains($0.key) }
        if !others.isEmpty { members.append(.init("metadata", LogLine.json(.dictionary(others)))) }
        return .object(members)
    }

    private static func json(_ value: Logger.MetadataValue) -> JSONValue {
        switch value {
        case .string(let text): .string(text)
        case .stringConvertible(let value): .string("\(value)")
        case .array(let values): .array(values.map(json))
        case .dictionary(let values):
            .object(values.sorted { $0.key < $1.key }.map { JSONValue.Member($0.key, json($0.value)) })
        }
    }

    private static func oneLine(_ text: String) -> String {
        guard text.unicodeScalars.contains(where: isControl) else { return text }
        return text.unicodeScalars.map { isControl($0) ? $0.escaped(asASCII: true) : String($0) }.joined()
    }

    /// Of ASCII, of Latin-1 (terminals obey those, too), and Unicode's two line ends.
    private static func isControl(_ scalar: Unicode.Scalar) -> Bool {
        scalar.value < 0x20 || (0x7F...0x9F).contains(scalar.value) || (0x2028...0x2029).contains(scalar.value)
    }
}
