// SPDX-License-Identifier: Apache-2.0

public import Configuration
internal import Spindle
internal import Yams

/// A configuration file in YAML or JSON that refuses options that do not exist, with the line.
///
///     let file = try await FileProvider<OptionsFile>(
///         parsingOptions: .init(path: "server.yaml", scope: ["spindle"]),
///         filePath: "server.yaml"
///     )
///
/// JSON is read as YAML, which it is but for escapes beyond U+FFFF (`"\ud83d\ude00"`). Each value keeps its text:
/// `64KiB`, `2` and `true` are as they were written.
public struct OptionsFile: FileConfigSnapshot {
    /// What the file is called, and what may stand in it.
    public struct ParsingOptions: FileParsingOptions {
        /// Named in errors, and in where a value came from.
        public var path: String
        /// The keys below which the options stand; none when the whole file is about them.
        public var scope: [String]
        /// Names that are allowed beside the options'.
        public var otherNames: Set<String>

        /// A file with options below `scope`, and anything elsewhere.
        public init(path: String = "the file", scope: [String] = [], otherNames: Set<String> = []) {
            self.path = path
            self.scope = scope
            self.otherNames = otherNames
        }

        /// The whole file is about options.
        public static var `default`: ParsingOptions { ParsingOptions() }
    }

    /// Why a file is refused, one sentence with the path and, where known, the line.
    public struct Refusal: Error, Equatable, CustomStringConvertible {
        /// The sentence.
        public let description: String
    }

    fileprivate struct Entry {
        let texts: [String]
        let isList: Bool
        let place: String
    }

    /// As swift-configuration names the provider.
    public let providerName: String
    private let path: String
    private var entries: [String: Entry] = [:]

    /// Reads the file's bytes.
    ///
    /// - Throws: `Refusal`: no YAML, a name twice, no text or list of texts, or an option that does not exist.
    public init(data: RawSpan, providerName: String, parsingOptions: ParsingOptions) throws {
        self.providerName = providerName
        path = parsingOptions.path
        guard let text = unsafe data.withUnsafeBytes({ unsafe String(validating: $0, as: UTF8.self) }) else {
            throw Refusal(description: "\(path) is not UTF-8")
        }
        let root: Node?
        do { root = try Yams.Parser(yaml: text).singleRoot() } catch {
            let reason = "\(error)".split(whereSeparator: \.isNewline).joined(separator: " ")
            throw Refusal(description: "\(path) is neither YAML nor JSON: \(reason)")
        }
        guard let root, root.null == nil else { return }
        guard let mapping = root.mapping else {
            throw Refusal(description: "\(path) has to be a mapping of names to values")
        }
        try add(mapping, below: [], parsingOptions)
    }

    private mutating func add(_ mapping: Node.Mapping, below keys: [String], _ options: ParsingOptions) throws {
        for (key, value) in mapping {
            let place = key.mark.map { "\(path):\($0.line)" } ?? path
            guard let name = key.scalar?.string else { throw Refusal(description: "\(place): a name has to be text") }
            if keys == options.scope { try check(name, options, place) }
            let all = keys + [name]
            if let inner = value.mapping, keys != options.scope {
                try add(inner, below: all, options)
            } else {
                entries[all.joined(separator: ".")] = try OptionsFile.entry(value, name, place)
            }
        }
    }

    private func check(_ name: String, _ options: ParsingOptions, _ place: String) throws {
        guard EngineOption.named(name) == nil, !options.otherNames.contains(name) else { return }
        let names = EngineOption.all.map(\.name) + options.otherNames
        throw Refusal(description: "\(place): there is no option '\(name)'\(NearName.hint(name, among: names))")
    }

    private static func entry(_ value: Node, _ name: String, _ place: String) throws -> Entry {
        if value.null != nil { throw Refusal(description: "\(place): '\(name)' has no value; leave it out") }
        if let scalar = value.scalar { return Entry(texts: [scalar.string], isList: false, place: place) }
        let texts = value.sequence?.compactMap { $0.scalar?.string } ?? []
        guard let sequence = value.sequence, texts.count == sequence.count else {
            throw Refusal(description: "\(place): '\(name)' has to be a value, or a list of values")
        }
        return Entry(texts: texts, isList: true, place: place)
    }

    /// The value of a key, and where it stands as its encoded key: `server.yaml:7`.
    public func value(forKey key: AbsoluteConfigKey, type: ConfigType) throws -> LookupResult {
        let name = key.components.joined(separator: ".")
        guard let entry = entries[name] else { return LookupResult(encodedKey: name, value: nil) }
        guard let content = entry.content(type) else {
            throw Refusal(description: "\(entry.place): '\(name)' is not of the type \(type.rawValue)")
        }
        return LookupResult(encodedKey: entry.place, value: ConfigValue(content, isSecret: false))
    }

    /// The path, and how many values there are.
    public var description: String { "\(path) [\(entries.count) values]" }

    /// Every value.
    public var debugDescription: String {
        let pairs = entries.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value.texts.joined(separator: ","))" }
        return "\(path) [\(pairs.joined(separator: ", "))]"
    }
}

extension OptionsFile.Entry {
    /// The value as what was asked for; nil when it is something else. A single text is a list of one, too.
    fileprivate func content(_ type: ConfigType) -> ConfigContent? {
        if type == .stringArray { return .stringArray(texts) }
        guard !isList, let text = texts.first else { return nil }
        return switch type {
        case .string: .string(text)
        case .int: Int(text).map { .int($0) }
        case .double: Double(text).map { .double($0) }
        case .bool: Bool(text).map { .bool($0) }
        default: nil
        }
    }
}
